import type { Clock } from '../lib/clock.ts'

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 60_000

/** The other side has failed repeatedly and is left alone for a while; nothing was sent. */
export class BreakerOpen extends Error {
  override readonly name = 'BreakerOpen'
  readonly retryAfterMs: number

  constructor(retryAfterMs: number) {
    super(`not asked: it has failed repeatedly; to be tried again in ${retryAfterMs} ms`)
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

/**
 * Leaves a server that keeps failing alone (MMR's `backoffAt`). After so many failures in a row nothing is sent for half a
 * second; then one call goes through as a probe while all others are still refused. If it succeeds, everything is as before;
 * if not, the pause doubles, up to a minute.
 */
export class Breaker {
  readonly #parts: BreakerParts
  #failures = 0
  /** 0 while calls go through. */
  #pauseMs = 0
  #pauseEnds = 0
  #probing = false
  /** Counts the changes between open, probing and closed: how a call ended says nothing about a later state. */
  #epoch = 0

  constructor(parts: BreakerParts) {
    this.#parts = parts
  }

  /**
   * Makes the call and gives its result. A rejection counts as a failure of the other side, so an answer that merely says no
   * has to be a result. With `backoffAt` 0 or less every call goes through.
   *
   * @throws {BreakerOpen} when the other side is being left alone
   */
  async run<T>(backoffAt: number, call: () => Promise<T>): Promise<T> {
    if (backoffAt > 0) this.#admit()
    const epoch = this.#epoch
    try {
      const result = await call()
      if (epoch === this.#epoch) this.#succeeded()
      return result
    } catch (error) {
      if (epoch === this.#epoch) this.#failed(backoffAt, error)
      throw error
    }
  }

  #admit(): void {
    if (this.#pauseMs === 0) return
    const leftMs = this.#pauseEnds - this.#parts.clock.now()
    if (leftMs > 0) throw new BreakerOpen(leftMs)
    if (this.#probing) throw new BreakerOpen(this.#pauseMs)
    this.#probing = true
    this.#epoch += 1
  }

  #succeeded(): void {
    this.#failures = 0
    if (this.#pauseMs === 0) return
    this.#pauseMs = 0
    this.#probing = false
    this.#epoch += 1
    this.#parts.onClose?.()
  }

  #failed(backoffAt: number, error: unknown): void {
    this.#failures += 1
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
