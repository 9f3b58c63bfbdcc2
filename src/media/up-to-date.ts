import type { Notifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'

export interface UpToDateParts {
  readonly db: Pick<Database, 'version'>
  readonly notifier: Pick<Notifier, 'on' | 'isAttentive'>
}

/**
 * Tells whether what this process keeps of the database is what the database has. On SQLite it is only while the database is
 * exactly as it was: whatever anybody commits empties what is kept, at the next look. On PostgreSQL, where asking that would cost
 * a query, it is while this instance hears the others, who say what they change.
 */
export class UpToDate {
  readonly #parts: UpToDateParts
  readonly #forget: () => void
  #version: number | undefined
  /** Another number each time something was dropped: what was asked for before that may be older than the change. */
  #generation = 0

  /** `forget` drops everything that is kept. */
  constructor(parts: UpToDateParts, forget: () => void) {
    this.#parts = parts
    this.#forget = forget
    parts.notifier.on('missed', () => this.#forgetAll())
  }

  /** Whether what is kept may be used now. */
  mayUse(): boolean {
    const version = this.#parts.db.version()
    if (version === undefined) return this.#parts.notifier.isAttentive()
    if (version !== this.#version) this.#forgetAll()
    this.#version = version
    return true
  }

  /**
   * Gives what tells, later, whether all that was said since has been heard and nothing was dropped: whether what was read
   * meanwhile may be kept. On SQLite, what was committed since the version was asked for was read, and shows in the next version.
   */
  watch(): () => boolean {
    const { notifier } = this.#parts
    const generation = this.#generation
    const heard = notifier.isAttentive()
    return () => heard && notifier.isAttentive() && generation === this.#generation
  }

  /** Something was dropped because it changed. */
  dropped(): void {
    this.#generation++
  }

  #forgetAll(): void {
    this.dropped()
    this.#forget()
  }
}
