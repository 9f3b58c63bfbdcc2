import { isConnectTimeout, saysDown, statusOf } from './failure.ts'

/** So many calls have to fail before it is the service that is down: one alone is tried again for as long as it may be. */
const CALLS = 3
/** And for so long nothing may have worked, in ms: a restarted proxy or some broken connections pass sooner. */
const FAILING_MS = 1500
/** A failure longer ago than this, in ms, has nothing to do with the next one. */
const FORGOTTEN_AFTER_MS = 60_000

/**
 * What the calls to one service know of it together. Once several have failed for a while and none has worked, it is down for
 * all of them: none is tried again, so that not each has to find out for itself. The first that works ends that; where everybody
 * else is refused meanwhile, it is the guard's look in the background.
 */
export class Service {
  readonly #now: () => number
  readonly #failing = new Set<object>()
  readonly #underWay = new Set<AbortController>()
  #since = 0
  #lastFailed = -Infinity
  #lastRetried = -Infinity
  #giveUp = new AbortController()
  #isDown = false
  #isClosed = false

  constructor(now: () => number) {
    this.#now = now
  }

  get isDown(): boolean {
    return this.#isDown
  }

  /** Nobody uses it any more: every call fails. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Aborts when calls that wait for another attempt are to give up. */
  get giveUp(): AbortSignal {
    return this.#giveUp.signal
  }

  /** An attempt begins, which closing ends. */
  began(ending: AbortController): void {
    this.#underWay.add(ending)
    if (this.#isClosed) ending.abort(closed())
  }

  ended(ending: AbortController): void {
    this.#underWay.delete(ending)
  }

  worked(): void {
    if (this.#failing.size > 0) this.#failing.clear()
    if (!this.#isDown || this.#isClosed) return
    this.#isDown = false
    this.#giveUp = new AbortController()
  }

  /** An attempt of `call`, the same object for each of its attempts, failed. `began`: when, in ms. */
  failed(call: object, error: unknown, began: number): void {
    // A refusal is an answer: whoever refuses is there.
    if ((statusOf(error) ?? 500) < 500) return this.worked()
    if (!saysDown(error) || this.#isDown || this.#isClosed) return
    const now = this.#now()
    if (now - this.#lastFailed > FORGOTTEN_AFTER_MS) this.#failing.clear()
    // Who waited for a connection in vain has waited long enough. One that broke after an hour was well until now.
    if (this.#failing.size === 0) this.#since = isConnectTimeout(error) ? began : now
    this.#lastFailed = now
    this.#failing.add(call)
    if (this.#failing.size < CALLS || now - this.#since < FAILING_MS) return
    this.#isDown = true
    this.#giveUp.abort()
  }

  /** A call is tried again. Says whether that is news: the first for a while. */
  retried(): boolean {
    const now = this.#now()
    const isNews = now - this.#lastRetried > FORGOTTEN_AFTER_MS
    this.#lastRetried = now
    return isNews
  }

  /** Ends the calls under way, and every one from now on. */
  close(): void {
    this.#isClosed = true
    this.#giveUp.abort()
    for (const ending of this.#underWay) ending.abort(closed())
  }
}

function closed(): Error {
  return Object.assign(new Error('the server is ending'), { code: 'Closed' })
}
