import type { Clock } from '../lib/clock.ts'

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 60_000

/** The other side has failed repeatedly and is left alone for a while; nothing was sent. */
export class BreakerOpen extends Error {
  override readonly name = 'BreakerOpen'
  readonly retryAfterMs: number

  /** `cause` is the last failure, where one is known. */
  constructor(retryAfterMs: number, cause?: unknown) {
    super(`not asked: it has failed repeatedly; to be tried again in ${retryAfterMs} ms`, { cause })
    this.retryAfterMs = retryAfterMs
  }
}

export interface BreakerParts {
  readonly clock: Clock
  /** Called when calls are stopped, with the length of the pause in ms, and the error that was one too many. */
  readonly onOpen?: (pauseMs: number, error: unknown) => void
  /** Called when a call has succeeded again. */
  readonly onClose?: () => void
}

/** What the end of a call says about the other side. */
export interface Verdict<T> {
  /** The failure that a result is all the same, such as an answer of 503; undefined if it is none. */
  readonly failureIn?: (result: T) => Error | undefined
  /** Whether a rejection says nothing about the other side, because the call was broken off here. */
  readonly saysNothing?: (error: unknown) => boolean
}

/**
 * Leaves a server that keeps failing alone (MMR's `backoffAt`). After so many failures in a row nothing is sent for half a
 * second; then one call goes through as a probe while all others are still refused. If it succeeds, everything is as before;
 * if not, the pause doubles, up to a minute.
 */
export class Breaker {
  readonly #parts: BreakerParts
  #failures = 0
  /** How many have broken off after a good beginning, since one came whole. */
  #brokenOff = 0
  /** 0 while calls go through. */
  #pauseMs = 0
  #pauseEnds = 0
  #probing = false
  /** Until when the other side has asked to be left alone. */
  #heldUntil = 0
  #lastFailure: unknown
  /** Counts the changes between open, probing and closed: how a call ended says nothing about a later state. */
  #epoch = 0

  constructor(parts: BreakerParts) {
    this.#parts = parts
  }

  /**
   * Makes the call and gives its result. A rejection counts as a failure of the other side, so an answer that merely says no
   * has to be a result; `verdict` may say otherwise. With `backoffAt` 0 or less every call goes through.
   *
   * @throws {BreakerOpen} when the other side is being left alone
   */
  async run<T>(backoffAt: number, call: () => Promise<T>, verdict: Verdict<T> = {}): Promise<T> {
    if (backoffAt > 0) this.#admit()
    const epoch = this.#epoch
    try {
      const result = await call()
      if (epoch === this.#epoch) this.#judge(backoffAt, verdict.failureIn?.(result))
      return result
    } catch (error) {
      if (epoch !== this.#epoch) throw error
      if (verdict.saysNothing?.(error)) this.#probing = false
      else this.#failed(backoffAt, error)
      throw error
    }
  }

  /**
   * What came after a good beginning broke off. So many in a row count like calls that failed; each further one doubles the
   * pause, also where the beginnings go on being good.
   */
  brokeOff(backoffAt: number, error: unknown): void {
    this.#brokenOff += 1
    const beyond = this.#brokenOff - backoffAt
    if (backoffAt <= 0 || beyond < 0 || this.#pauseMs > 0) return
    this.#lastFailure = error
    this.#open(Math.min(FIRST_PAUSE_MS * 2 ** beyond, LONGEST_PAUSE_MS), error)
  }

  /** It is known from elsewhere that it works again. What it has asked for itself (`holdFor`) counts on. */
  answers(): void {
    this.#brokenOff = 0
    this.#succeeded()
  }

  /** Something has come from its beginning to its end. */
  cameWhole(): void {
    this.#brokenOff = 0
  }

  /** The other side has asked to be left alone for so long (`Retry-After`), in ms. */
  holdFor(ms: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#parts.clock.now() + ms)
  }

  #admit(): void {
    const heldMs = this.#heldUntil - this.#parts.clock.now()
    if (heldMs > 0) throw new BreakerOpen(heldMs, this.#lastFailure)
    if (this.#pauseMs === 0) return
    const leftMs = this.#pauseEnds - this.#parts.clock.now()
    if (leftMs > 0) throw new BreakerOpen(leftMs, this.#lastFailure)
    if (this.#probing) throw new BreakerOpen(this.#pauseMs, this.#lastFailure)
    this.#probing = true
    this.#epoch += 1
  }

  #judge(backoffAt: number, failure: Error | undefined): void {
    if (failure) this.#failed(backoffAt, failure)
    else this.#succeeded()
  }

  #succeeded(): void {
    this.#failures = 0
    this.#lastFailure = undefined
    if (this.#pauseMs === 0) return
    this.#pauseMs = 0
    this.#probing = false
    this.#epoch += 1
    this.#parts.onClose?.()
  }

  #failed(backoffAt: number, error: unknown): void {
    this.#failures += 1
    this.#lastFailure = error
    if (this.#probing) this.#open(Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS), error)
    else if (backoffAt > 0 && this.#failures >= backoffAt) this.#open(FIRST_PAUSE_MS, error)
  }

  #open(pauseMs: number, error: unknown): void {
    this.#pauseMs = pauseMs
    this.#pauseEnds = this.#parts.clock.now() + pauseMs
    this.#probing = false
    this.#epoch += 1
    this.#parts.onOpen?.(pauseMs, error)
  }
}
