import PQueue from 'p-queue'
import { Refused } from './errors.ts'

export interface WorkQueueOptions {
  /** How much is worked on at a time. */
  readonly atATime: number
  /** How much may wait; whoever comes then is refused. */
  readonly waiting: number
  /** When trying again makes sense for who was refused, in ms. */
  readonly retryMs: number
  /** What there is too much of, for those who are refused: "Too many … (7 wait)". */
  readonly what: string
}

/** Work of which only so much is done, and only so much waits, at a time. */
export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #queue: PQueue

  constructor(options: WorkQueueOptions) {
    this.#options = options
    this.#queue = new PQueue({ concurrency: options.atATime })
  }

  /**
   * Does `work` when its turn has come.
   *
   * @throws Refused `limited` at once, when too much waits
   * @throws the signal's reason, when it aborts before the turn has come; work that has begun ends by itself
   */
  async run<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    signal.throwIfAborted()
    this.#refuseIfFull()
    // The queue knows this signal only while the work waits: it would give the place of running work away at once.
    const waiting = new AbortController()
    const leave = () => waiting.abort(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    const begin = () => {
      signal.removeEventListener('abort', leave)
      return work()
    }
    try {
      return await this.#queue.add(begin, { signal: waiting.signal })
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** Resolves when nothing is worked on and nothing waits. */
  async idle(): Promise<void> {
    await this.#queue.onIdle()
  }

  #refuseIfFull(): void {
    const { waiting, what, retryMs: retryAfterMs } = this.#options
    // What begins at once does not wait, even where nothing may wait.
    if (this.#queue.size < waiting || this.#queue.pending < this.#options.atATime) return
    throw new Refused('limited', `Too many ${what} (${this.#queue.size} wait); try again later`, { retryAfterMs })
  }
}
