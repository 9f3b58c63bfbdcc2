import PQueue from 'p-queue'
import { Refused } from './errors.ts'

export interface WorkQueueOptions {
  /** How much is worked on at a time. */
  readonly atATime: number
  /** How much may wait; whoever comes then is refused. */
  readonly waiting: number
  /** How long anything may wait for its turn, in ms, before it is refused; for ever if not given. */
  readonly longestWaitMs?: number
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
   * @throws Refused `limited`: at once, when too much waits; later, when its turn has not come for `longestWaitMs`
   * @throws the signal's reason, when it aborts before the turn has come; work that has begun ends by itself
   */
  async run<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    signal.throwIfAborted()
    const { atATime, longestWaitMs } = this.#options
    if (this.#queue.pending < atATime) return await this.#queue.add(work)
    this.#refuseIfFull()
    // The queue knows this signal only while the work waits: it would give the place of running work away at once.
    const waiting = new AbortController()
    const leave = () => waiting.abort(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    const giveUp = () => waiting.abort(tooMany(this.#options, this.#queue.size))
    const timer = longestWaitMs === undefined ? undefined : setTimeout(giveUp, longestWaitMs)
    const stopWaiting = () => {
      signal.removeEventListener('abort', leave)
      clearTimeout(timer)
    }
    const begin = () => {
      stopWaiting()
      return work()
    }
    try {
      return await this.#queue.add(begin, { signal: waiting.signal })
    } finally {
      stopWaiting()
    }
  }

  /** How much waits for its turn. */
  get waiting(): number {
    return this.#queue.size
  }

  /** Resolves when nothing is worked on and nothing waits. */
  async idle(): Promise<void> {
    await this.#queue.onIdle()
  }

  #refuseIfFull(): void {
    if (this.#queue.size >= this.#options.waiting) throw tooMany(this.#options, this.#queue.size)
  }
}

/** Somebody's place among what is worked on. */
export interface Place {
  /**
   * Waits for something that is done elsewhere, such as another server's answer. If that takes longer than `afterMs`, others
   * have the place meanwhile; it is taken again before going on.
   */
  readonly lend: <Result>(afterMs: number, waiting: Promise<Result>) => Promise<Result>
}

/**
 * The same for work with keys, of which one key may have half of what is done at a time: where that takes long, the others still
 * get on. What may wait counts for all keys together.
 */
export class FairWorkQueue {
  readonly #options: WorkQueueOptions
  readonly #all: WorkQueue
  readonly #byKey = new Map<string, { readonly queue: WorkQueue; users: number }>()
  #users = 0

  constructor(options: WorkQueueOptions) {
    this.#options = options
    this.#all = new WorkQueue({ ...options, waiting: Infinity })
  }

  /** As `WorkQueue.run`. A place that is lent is still one of its key's. */
  async run<Result>(key: string, signal: AbortSignal, work: (place: Place) => Promise<Result>): Promise<Result> {
    const { atATime, waiting } = this.#options
    if (this.#users >= atATime + waiting) throw tooMany(this.#options, this.#users - atATime)
    const own = this.#byKey.get(key) ?? { queue: this.#forOne(), users: 0 }
    this.#byKey.set(key, own)
    own.users++
    this.#users++
    try {
      return await own.queue.run(signal, () => this.#inPlace(signal, work))
    } finally {
      this.#users--
      own.users--
      if (own.users === 0) this.#byKey.delete(key)
    }
  }

  async #inPlace<Result>(signal: AbortSignal, work: (place: Place) => Promise<Result>): Promise<Result> {
    let release = await this.#takePlace(signal)
    const lend: Place['lend'] = async (afterMs, waiting) => {
      let isLent = false
      const timer = setTimeout(() => {
        isLent = true
        release()
      }, afterMs)
      const result = await waiting.finally(() => clearTimeout(timer))
      if (isLent) release = await this.#takePlace(signal)
      return result
    }
    try {
      return await work({ lend })
    } finally {
      release()
    }
  }

  /** Waits for a place, and gives what makes it free again. */
  async #takePlace(signal: AbortSignal): Promise<() => void> {
    const [taken, freed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const held = this.#all.run(signal, async () => {
      taken.resolve()
      await freed.promise
    })
    held.catch(taken.reject)
    await taken.promise
    return () => freed.resolve()
  }

  #forOne(): WorkQueue {
    return new WorkQueue({ ...this.#options, atATime: Math.ceil(this.#options.atATime / 2), waiting: Infinity })
  }
}

function tooMany({ what, retryMs: retryAfterMs }: WorkQueueOptions, waiting: number): Refused {
  return new Refused('limited', `Too many ${what} (${waiting} wait); try again later`, { retryAfterMs })
}
