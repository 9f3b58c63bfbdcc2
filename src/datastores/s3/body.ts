import { Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { free } from '../../lib/buffers.ts'

/** The body of an answer, as it comes. Whoever has one reads it to its end or ends it: it holds a connection. */
export class Body {
  readonly #stream: Readable
  readonly #idleMs: number
  /** Bytes that were announced and have not been read. Once it is 0, reading on gives the connection back. */
  left: number

  /** Reading fails when `idleMs` pass without a byte while somebody waits for one. A reader may take as long as it likes. */
  constructor({ Body: stream, ContentLength: length = 0 }: GetObjectCommandOutput, idleMs: number) {
    if (!(stream instanceof Readable)) throw new TypeError('the SDK gave no stream of Node.js')
    this.#stream = stream
    this.#idleMs = idleMs
    this.left = length
    // A connection that breaks while nobody reads is found out by the next read.
    stream.on('error', () => {})
  }

  /** Each chunk is gone when the next one is asked for. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const stream = this.#stream
    let waiting = false
    const hangs = () => {
      if (waiting) stream.destroy(new Error(`no bytes came for ${this.#idleMs} ms`))
    }
    const timer = setTimeout(hangs, this.#idleMs)
    const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]()
    try {
      for (;;) {
        waiting = true
        timer.refresh()
        const { done, value } = await chunks.next()
        waiting = false
        if (done) return
        this.left -= value.length
        yield value
        free(value)
      }
    } finally {
      clearTimeout(timer)
      this.end()
    }
  }

  /** Ends the connection, unless everything was read. */
  end(): void {
    this.#stream.destroy()
  }
}
