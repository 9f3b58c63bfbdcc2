import { RemoteMediaError } from './remote-error.ts'

/** How much longer a whole file may take than nothing at all may come: an hour for the default of two minutes. */
const WHOLE_PER_IDLE = 30
/** Timers cannot be set for longer than 24 days. */
const LONGEST_MS = 24 * 3_600_000

/** How long a fetch may go on: until its asker leaves, until it has taken too long altogether, or until it is over. */
export class Patience {
  readonly #asker: AbortSignal
  readonly #over = new AbortController()
  readonly #timer: NodeJS.Timeout
  /** For everything together, in ms. */
  readonly totalMs: number

  constructor(asker: AbortSignal, idleMs: number) {
    this.#asker = asker
    this.totalMs = Math.min(idleMs * WHOLE_PER_IDLE, LONGEST_MS)
    this.#timer = setTimeout(() => this.#runOut(), this.totalMs).unref()
    asker.addEventListener('abort', this.#leave)
    if (asker.aborted) this.#leave()
  }

  /** Aborts when there is no patience left; whatever connection still hangs on it is closed then. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** The promise's result, unless patience ends before: not everything that takes time can be told to stop. */
  async wait<Value>(promise: Promise<Value>): Promise<Value> {
    const ended = Promise.withResolvers<never>()
    const end = () => ended.reject(this.signal.reason)
    if (this.signal.aborted) end()
    this.signal.addEventListener('abort', end, { once: true })
    try {
      return await Promise.race([promise, ended.promise])
    } finally {
      this.signal.removeEventListener('abort', end)
    }
  }

  /** It is over, well or not: lets go of everything. */
  end(): void {
    clearTimeout(this.#timer)
    this.#asker.removeEventListener('abort', this.#leave)
    this.#over.abort(new Error('the fetch is over'))
  }

  readonly #leave = () => this.#over.abort(this.#asker.reason)

  #runOut(): void {
    this.#over.abort(new RemoteMediaError('timed_out', `it has taken more than ${this.totalMs} ms altogether`))
  }
}
