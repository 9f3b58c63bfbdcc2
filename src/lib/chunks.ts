import type { Readable } from 'node:stream'

/**
 * A stream's chunks, as they came: Node's own iterator copies those that had to wait into a new one. Never more than a few
 * wait. Ends the stream when it is left early; what has come before an error is given before that is thrown.
 */
export function asTheyCame(stream: Readable): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => new Chunks(stream) }
}

class Chunks implements AsyncIterator<Uint8Array, undefined> {
  readonly #stream: Readable
  readonly #here: Uint8Array[] = []
  #waiting: PromiseWithResolvers<IteratorResult<Uint8Array, undefined>> | undefined
  #end: { readonly error?: unknown } | undefined

  constructor(stream: Readable) {
    this.#stream = stream
    stream.on('data', (chunk: Uint8Array) => this.#give(chunk))
    stream.once('end', () => this.#ends({}))
    stream.once('error', (error) => this.#ends({ error }))
    stream.once('close', () => this.#ends({ error: new Error('the stream was closed before its end') }))
    if (stream.errored) this.#ends({ error: stream.errored })
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const chunk = this.#here.shift()
    if (chunk) return Promise.resolve({ done: false, value: chunk })
    if (this.#end) return this.#ended(this.#end)
    this.#waiting = Promise.withResolvers()
    if (this.#stream.isPaused()) this.#stream.resume()
    return this.#waiting.promise
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#here.length = 0
    this.#ends({})
    this.#stream.destroy()
    return Promise.resolve({ done: true, value: undefined })
  }

  #give(chunk: Uint8Array): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) return waiting.resolve({ done: false, value: chunk })
    this.#here.push(chunk)
    this.#stream.pause()
  }

  #ends(end: { readonly error?: unknown }): void {
    this.#end ??= end
    this.#waiting?.resolve(this.#ended(this.#end))
    this.#waiting = undefined
  }

  #ended(end: { readonly error?: unknown }): Promise<IteratorResult<Uint8Array, undefined>> {
    return 'error' in end ? Promise.reject(end.error) : Promise.resolve({ done: true, value: undefined })
  }
}
