/** What `Availability` calls when a part stops being usable (with what is wrong) and when it is usable again. */
export type OnAvailability = (problem: unknown) => void

/** A part that has failed counts as usable again only after this time without another failure, in ms. */
const QUIET_MS = 1000

/**
 * Whether a part of the server can be used, as its uses tell: the first failure and the first success after a quiet second are
 * told, so that an outage costs two lines in the log, not one for each request.
 */
export class Availability {
  readonly #now: () => number
  readonly #onChange: OnAvailability
  #problem: unknown
  #failedAt = 0

  constructor(parts: { readonly now: () => number; readonly onChange: OnAvailability }) {
    this.#now = parts.now
    this.#onChange = parts.onChange
  }

  /** What is wrong; undefined while the part can be used. */
  get problem(): unknown {
    return this.#problem
  }

  failed(problem: unknown): void {
    const before = this.#problem
    this.#problem = problem
    this.#failedAt = this.#now()
    if (before === undefined) this.#onChange(problem)
  }

  /** One use went well: others may still fail. */
  worked(): void {
    if (this.#problem !== undefined && this.#now() - this.#failedAt >= QUIET_MS) this.recovered()
  }

  /** It was looked at on purpose, and is well. */
  recovered(): void {
    if (this.#problem === undefined) return
    this.#problem = undefined
    this.#onChange(undefined)
  }
}
