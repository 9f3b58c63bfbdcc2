import type { Database } from '../db/connect.ts'
import { countUnusedPreviews, shownPictures } from '../db/preview-purges.ts'
import type { MediaKind } from '../db/schema.ts'
import { countUnusedThumbnails } from '../db/thumbnails.ts'
import type { Clock } from '../lib/clock.ts'
import { type Expiry, type ExpiryPreview, previewExpiry } from './expiry.ts'
import { anyUnusedSince, type Retention, timed, unusedSince } from './retention-rules.ts'

export interface RetentionParts {
  readonly db: Pick<Database, 'read'>
  readonly clock: Clock
}

/** What goes of one kind of media now; undefined: nothing ever does. */
export function expiryOf(
  { db, clock }: RetentionParts,
  kind: MediaKind,
  { remoteDays, previewDays, local }: Retention,
): Expiry | undefined {
  const now = clock.now()
  if (kind === 'upload') {
    const rules = timed(local, now)
    return rules.length > 0 ? { kind, rules } : undefined
  }
  const since = unusedSince(kind === 'remote' ? remoteDays : previewDays, now)
  if (since === undefined) return undefined
  const rules = [anyUnusedSince(since)]
  // Pictures go with the last preview that shows them. Here go those that were kept then because they were in use.
  return kind === 'remote' ? { kind, rules } : { kind, rules, spared: (names) => shownPictures(db.read, names) }
}

/** How many there are, and whether they were counted to the end. */
export interface Counted {
  readonly count: number
  readonly isComplete: boolean
}

/** What would go now; undefined: nothing ever does, as it is configured. */
export interface RetentionPreview {
  readonly remote: ExpiryPreview | undefined
  readonly local: ExpiryPreview | undefined
  readonly thumbnails: (Counted & { readonly bytes: number }) | undefined
  readonly previews: Counted | undefined
}

/** Media are looked at page by page; these are counted in one query, which must not be long. */
const COUNTED_AT_MOST = 100_000
const LOOKED_AT_MOST = 1_000_000

/** Counts what would be removed now, and changes nothing. `most`: of how many media, at most, it is found out. */
export async function previewRetention(
  parts: RetentionParts,
  retention: Retention,
  signal: AbortSignal,
  most: number = LOOKED_AT_MOST,
): Promise<RetentionPreview> {
  const of = async (kind: MediaKind) => {
    const expiry = expiryOf(parts, kind, retention)
    return expiry && (await previewExpiry(parts.db, expiry, most, signal))
  }
  const limit = Math.min(most, COUNTED_AT_MOST)
  return {
    remote: await of('remote'),
    local: await of('upload'),
    thumbnails: await counted(parts, retention.thumbnailDays, limit, countUnusedThumbnails),
    previews: await counted(parts, retention.previewDays, limit, countUnusedPreviews),
  }
}

async function counted<Result extends { readonly count: number }>(
  { db, clock }: RetentionParts,
  days: number,
  limit: number,
  count: (db: Database['read'], of: { readonly before: number; readonly limit: number }) => Promise<Result>,
): Promise<(Result & Counted) | undefined> {
  const before = unusedSince(days, clock.now())
  if (before === undefined) return undefined
  const found = await count(db.read, { before, limit })
  return { ...found, isComplete: found.count < limit }
}
