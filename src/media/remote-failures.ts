import type { Notifier } from '../coordination/notifier.ts'
import { LeaseLost } from '../db/with-lease.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { type EventParts, remoteFailureAnswered } from '../lib/events.ts'
import { lastUsed } from '../lib/last-used.ts'
import { RemoteMediaError, refusalOf } from '../matrix/remote-error.ts'
import { onChanged } from './records.ts'

const WHY = {
  blocked: 'its content is quarantined here',
  not_let_through: 'a gate (moderation) does not let it through',
  other_content: 'its origin now sends other content than before',
} as const

/** A file came whole and must not be had. */
export class RemoteFileRefused extends Error {
  override readonly name = 'RemoteFileRefused'
  readonly reason: keyof typeof WHY
  readonly sha256: string

  constructor(reason: keyof typeof WHY, sha256: string) {
    super(WHY[reason])
    this.reason = reason
    this.sha256 = sha256
  }
}

/** What whoever asked for a file is told of a failed fetch. */
export function asRefusal(error: unknown): unknown {
  if (error instanceof RemoteMediaError) return refusalOf(error)
  if (error instanceof RemoteFileRefused) {
    return new Refused(error.reason === 'other_content' ? 'not_found' : 'quarantined', 'Not found', { cause: error })
  }
  if (error instanceof LeaseLost) {
    return new Refused('origin_unavailable', 'the file was not here in time; please try again', {
      cause: error,
      retryAfterMs: 1000,
    })
  }
  return error
}

export interface FailuresParts {
  readonly clock: Clock
  readonly notifier: Pick<Notifier, 'on'>
  readonly events: Pick<EventParts, 'metrics'>
}

interface Kept {
  readonly origin: string
  readonly refusal: unknown
  /** In ms since 1970. */
  readonly until: number
  /** The content that was refused, where it is known. */
  readonly sha256: string | undefined
}

const KEPT_AT_MOST = 10_000

/**
 * Failures of which asking again would give the same, kept in the memory of this process so that not everybody who scrolls by
 * has a server asked that has nothing (`downloads.failureCacheMinutes`).
 */
export class RemoteFailures {
  readonly #parts: FailuresParts
  readonly #kept = lastUsed<Kept>(KEPT_AT_MOST)

  constructor(parts: FailuresParts) {
    this.#parts = parts
    // Content that was released may be had at once.
    onChanged(parts.notifier, (changed) => this.#forgetRefused(changed.kind === 'all' ? 'all' : changed.sha256s))
    parts.notifier.on('missed', () => this.#forgetRefused('all'))
  }

  /** Throws what was kept under this key. */
  throwIfKept(key: string): void {
    const kept = this.#kept.get(key)
    if (!kept) return
    if (kept.until <= this.#parts.clock.now()) return void this.#kept.delete(key)
    remoteFailureAnswered(this.#parts.events)
    throw kept.refusal
  }

  /** Keeps a failure for `keepMs`, if it is one that is worth it. */
  keep(of: { readonly key: string; readonly origin: string }, error: unknown, keepMs: number): void {
    if (keepMs <= 0 || !isWorthKeeping(error)) return
    const sha256 = error instanceof RemoteFileRefused ? error.sha256 : undefined
    const until = this.#parts.clock.now() + keepMs
    this.#kept.set(of.key, { origin: of.origin, refusal: asRefusal(error), until, sha256 })
  }

  /** Forgets what is kept of a server, or of all. */
  forget(origin?: string): void {
    if (origin === undefined) return this.#kept.clear()
    for (const [key, kept] of this.#kept.entries()) if (kept.origin === origin) this.#kept.delete(key)
  }

  #forgetRefused(sha256s: readonly string[] | 'all'): void {
    for (const [key, { sha256 }] of this.#kept.entries()) {
      if (sha256 !== undefined && (sha256s === 'all' || sha256s.includes(sha256))) this.#kept.delete(key)
    }
  }
}

function isWorthKeeping(error: unknown): boolean {
  return error instanceof RemoteFileRefused || (error instanceof RemoteMediaError && error.isWorthKeeping)
}
