import { LRUCache } from 'lru-cache'
import type { Notifier } from '../coordination/notifier.ts'
import type { PreviewRow } from '../db/previews.ts'
import { cacheHit, cacheMissed, cacheSized, type EventParts } from '../lib/events.ts'
import { onChanged } from '../media/records.ts'
import { UpToDate, type UpToDateParts } from '../media/up-to-date.ts'
import type { Preview } from './answer.ts'
import type { PreviewFailure } from './failure.ts'

/** A preview, or why there is none, as it is answered. */
export type Outcome = {
  /** Until when it is answered without another look at the page, in ms since 1970. */
  readonly until: number
  /** Which it is, and when it was last asked for as far as its row says, in ms since 1970. */
  readonly row: PreviewRow
  readonly usedAt: number
} &
  /** `picture`: the SHA-256 of its picture, also of one that nobody may have now. */
  (
    | { readonly preview: Preview; readonly picture: string | undefined }
    | { readonly failure: PreviewFailure; readonly picture?: undefined }
  )

export interface KeptPreviewsParts extends UpToDateParts {
  readonly notifier: Pick<Notifier, 'on' | 'isAttentive'>
  readonly events: Pick<EventParts, 'metrics'>
}

const NAME = 'previews'
const KEPT_BYTES = 8 * 1024 * 1024
/** What the books cost for each, roughly. */
const OVERHEAD = 500

/**
 * Previews that are asked for again and again, kept in 8 MiB of this process, for as long as they are known to be what the
 * database has: a purge, or a quarantine of their picture, drops them on every instance before it is answered.
 */
export class KeptPreviews {
  readonly #kept = new LRUCache<string, Outcome>({ maxSize: KEPT_BYTES, sizeCalculation: sizeOf })
  readonly #events: Pick<EventParts, 'metrics'>
  readonly #upToDate: UpToDate

  constructor(parts: KeptPreviewsParts) {
    this.#events = parts.events
    this.#upToDate = new UpToDate(parts, () => this.#kept.clear())
    parts.notifier.on('purged', () => this.forget())
    onChanged(parts.notifier, (changed) => this.#drop(changed.kind === 'all' ? 'all' : changed.sha256s))
  }

  /** What is kept under a name, if it still holds at `now`. */
  get(name: string, now: number): Outcome | undefined {
    const kept = this.#upToDate.mayUse() ? this.#kept.get(name) : undefined
    if (!kept || kept.until <= now) {
      cacheMissed({ metrics: this.#events.metrics }, NAME)
      return undefined
    }
    cacheHit({ metrics: this.#events.metrics }, NAME)
    return kept
  }

  /** Gives what keeps an outcome that is read from now on, unless something was dropped meanwhile. */
  reading(): (name: string, outcome: Outcome) => void {
    const isStill = this.#upToDate.watch()
    return (name, outcome) => {
      if (!isStill()) return
      this.#kept.set(name, outcome)
      cacheSized({ metrics: this.#events.metrics }, NAME, this.#kept.calculatedSize)
    }
  }

  /** Drops everything: options have changed, or previews were purged. */
  forget(): void {
    this.#upToDate.dropped()
    this.#kept.clear()
  }

  #drop(sha256s: readonly string[] | 'all'): void {
    if (sha256s === 'all') return this.forget()
    this.#upToDate.dropped()
    const gone = new Set(sha256s)
    for (const [name, { picture }] of this.#kept.entries()) {
      if (picture !== undefined && gone.has(picture)) this.#kept.delete(name)
    }
  }
}

function sizeOf(outcome: Outcome, name: string): number {
  return 2 * (name.length + JSON.stringify(outcome).length) + OVERHEAD
}
