import { CallerGone } from './errors.ts'

interface Running<Value> {
  readonly result: Promise<Value>
  readonly stop: AbortController
  waiting: number
}

/**
 * Work that is done once for everybody who wants its result at the same time. It has a signal of its own: whoever leaves
 * only stops waiting, and when the last one has left the work is stopped.
 */
export class SharedWork<Value> {
  readonly #running = new Map<string, Running<Value>>()

  /** The result of `work`, begun by this call or by an earlier one with the same key; `CallerGone` once `signal` aborts. */
  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    const running = this.#running.get(key) ?? this.#begin(key, work)
    running.waiting++
    try {
      return await waitFor(running.result, signal)
    } finally {
      running.waiting--
      if (running.waiting === 0) this.#leave(key, running)
    }
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<Value>): Running<Value> {
    const stop = new AbortController()
    const running = { result: work(stop.signal), stop, waiting: 0 }
    this.#running.set(key, running)
    const forget = () => this.#forget(key, running)
    running.result.then(forget, forget)
    return running
  }

  #leave(key: string, running: Running<Value>): void {
    // It has ended.
    if (this.#running.get(key) !== running) return
    this.#forget(key, running)
    running.stop.abort(new CallerGone('everybody who wanted this has left'))
  }

  #forget(key: string, running: Running<Value>): void {
    if (this.#running.get(key) === running) this.#running.delete(key)
  }
}

/** The promise's result, unless the signal aborts first: then `CallerGone`. */
export async function waitFor<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (!signal) return await promise
  const gone = Promise.withResolvers<never>()
  const leave = () => gone.reject(new CallerGone('the caller hung up', { cause: signal.reason }))
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([promise, gone.promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
