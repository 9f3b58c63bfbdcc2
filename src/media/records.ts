import { lastUsed } from '../lib/last-used.ts'
import type { Notifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { findMedia, type MediaRecord } from '../db/media.ts'
import { findThumbnail, type ThumbnailRecord, type WantedThumbnail } from '../db/thumbnails.ts'
import { isMarkedLost } from './lost.ts'
import { UpToDate, type UpToDateParts } from './up-to-date.ts'

const KEPT_AT_MOST = 2000
/** Where any size may be asked for, there is no end to them. */
const THUMBNAILS_OF_ONE = 10
/** Of what fits in one message between instances (PostgreSQL: 8,000 bytes). */
const HASHES_AT_MOST = 100
/** More is told as `all`. */
const MESSAGES_AT_MOST = 10

/** Of which content something is kept that may be wrong now: its names, its thumbnails, where its bytes are, the bytes. */
export type Changed =
  | { readonly kind: 'content'; readonly sha256s: readonly string[] }
  /** Of any. */
  | { readonly kind: 'all' }

/**
 * Tells every instance that media changed: quarantined, released, deleted, frozen, or moved to another datastore. To be awaited
 * after the commit and before the answer to whoever asked for it: once it resolves, no instance goes by what was before.
 * New names, and times of access, need not be told.
 */
export async function announceChanged(
  notifier: Pick<Notifier, 'announce'>,
  sha256s: readonly string[] | 'all',
): Promise<void> {
  const messages = messagesFor(sha256s).map((changed) => notifier.announce('changed', JSON.stringify(changed)))
  await Promise.all(messages)
}

function messagesFor(sha256s: readonly string[] | 'all'): readonly Changed[] {
  if (sha256s === 'all' || sha256s.length > MESSAGES_AT_MOST * HASHES_AT_MOST) return [{ kind: 'all' }]
  const count = Math.ceil(sha256s.length / HASHES_AT_MOST)
  const begins = Array.from({ length: count }, (_, index) => index * HASHES_AT_MOST)
  return begins.map((begin) => ({ kind: 'content', sha256s: sha256s.slice(begin, begin + HASHES_AT_MOST) }))
}

/** Calls `listener` with each change that any instance announces, until the returned function is called. */
export function onChanged(notifier: Pick<Notifier, 'on'>, listener: (changed: Changed) => void): () => void {
  return notifier.on('changed', (message) => listener(JSON.parse(message) as Changed))
}

export interface RecordsParts extends UpToDateParts {
  readonly db: Pick<Database, 'read' | 'version'>
}

/**
 * Finds the records of media and thumbnails, and keeps those that are asked for again and again, for as long as they are known to be
 * what the database has: quarantine and deletion among other things end that.
 */
export class Records {
  readonly #db: Pick<Database, 'read'>
  readonly #media = lastUsed<MediaRecord>(KEPT_AT_MOST)
  /** By the content that they are made of, then by what was asked for: both texts are at hand and need not be put together. */
  readonly #thumbnails = lastUsed<Map<string, ThumbnailRecord>>(KEPT_AT_MOST)
  readonly #upToDate: UpToDate

  constructor(parts: RecordsParts) {
    this.#db = parts.db
    this.#upToDate = new UpToDate(parts, () => this.#clear())
    onChanged(parts.notifier, (changed) => this.#drop(changed))
  }

  /** The record of `mxc://origin/mediaId` as it is now, if its content is here. */
  async find(origin: string, mediaId: string): Promise<MediaRecord | undefined> {
    const kept = this.kept(origin, mediaId)
    if (kept) return kept
    const isStill = this.#upToDate.watch()
    const record = await findMedia(this.#db.read, origin, mediaId)
    // What was found again is not told: a record that says that it is lost is not kept.
    if (record && !isMarkedLost(record) && isStill()) this.#media.set(`${origin}/${mediaId}`, record)
    return record
  }

  /** The same, if it is kept: without waiting for anything. */
  kept(origin: string, mediaId: string): MediaRecord | undefined {
    return this.#upToDate.mayUse() ? this.#media.get(`${origin}/${mediaId}`) : undefined
  }

  /** The thumbnail's record as it is now, if it was made. */
  async findThumbnail(key: WantedThumbnail): Promise<ThumbnailRecord | undefined> {
    const label = key.label ?? labelOf(key)
    const kept = this.keptThumbnail(key.sourceSha256, label)
    if (kept) return kept
    const isStill = this.#upToDate.watch()
    const record = await findThumbnail(this.#db.read, key)
    if (record && !isMarkedLost(record) && isStill()) {
      this.#keepThumbnail(key.sourceSha256, label, record)
    }
    return record
  }

  /** The same, if it is kept: without waiting for anything. */
  keptThumbnail(sourceSha256: string, label: string): ThumbnailRecord | undefined {
    return this.#upToDate.mayUse() ? this.#thumbnails.get(sourceSha256)?.get(label) : undefined
  }

  /** Gives what tells, later, whether no change of any media was announced since, so that what was found meanwhile still holds. */
  watch(): () => boolean {
    return this.#upToDate.watch()
  }

  #drop(changed: Changed): void {
    this.#upToDate.dropped()
    if (changed.kind === 'all') return this.#clear()
    const gone = new Set(changed.sha256s)
    for (const [name, record] of this.#media.entries()) if (gone.has(record.sha256)) this.#media.delete(name)
    for (const [source, records] of this.#thumbnails.entries()) {
      const isGone = gone.has(source) || records.values().some(({ sha256 }) => gone.has(sha256))
      if (isGone) this.#thumbnails.delete(source)
    }
  }

  #keepThumbnail(source: string, label: string, record: ThumbnailRecord): void {
    const kept = this.#thumbnails.get(source)
    if (kept && kept.size < THUMBNAILS_OF_ONE) kept.set(label, record)
    else this.#thumbnails.set(source, new Map([[label, record]]))
  }

  #clear(): void {
    this.#media.clear()
    this.#thumbnails.clear()
  }
}

/** What tells a wanted thumbnail from all others of the same content. */
export function labelOf({
  width,
  height,
  method,
  variant,
  orElse = [],
}: Omit<WantedThumbnail, 'sourceSha256'>): string {
  return `${width}x${height} ${method} ${[variant, ...orElse].join()}`
}
