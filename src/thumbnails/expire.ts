import type { Notifier } from '../coordination/notifier.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import type { StoredObject } from '../db/objects.ts'
import { expireThumbnail, type ThumbnailKey, thumbnailsUnusedSince } from '../db/thumbnails.ts'
import type { Clock } from '../lib/clock.ts'
import { thumbnailsExpired } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'
import { settleReads } from '../media/reads.ts'
import { announceChanged } from '../media/records.ts'

export interface ExpireParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'delete'>
  readonly notifier: Pick<Notifier, 'announce'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/** As many as one announcement can name. */
const PAGE = 100

export interface ExpiredThumbnails {
  readonly removed: number
  /** There are more of them. */
  readonly isMore: boolean
}

/**
 * Removes thumbnails that nobody has used since `before` (ms since 1970), with their bytes where nothing else has the same: about
 * `most` of them. They are made again when somebody asks. Ends between two of them once `signal` says so.
 */
export async function expireThumbnails(
  parts: ExpireParts,
  { before, most }: { readonly before: number; readonly most: number },
  signal: AbortSignal,
): Promise<ExpiredThumbnails> {
  let removed = 0
  let isMore = true
  while (isMore && removed < most && !signal.aborted) {
    await settleReads(parts.notifier)
    const page = await thumbnailsUnusedSince(parts.db.read, { before, limit: PAGE })
    removed += await expirePage(parts, page, before, signal)
    isMore = page.length === PAGE
  }
  if (removed > 0) thumbnailsExpired(parts.events, { removed })
  return { removed, isMore }
}

async function expirePage(
  parts: ExpireParts,
  page: readonly ThumbnailKey[],
  before: number,
  signal: AbortSignal,
): Promise<number> {
  const removed: ThumbnailKey[] = []
  const unused: StoredObject[] = []
  for (const key of page) {
    if (signal.aborted) break
    const expired = await parts.db.write(expireThumbnail, { ...key, before, at: parts.clock.now() })
    if (expired.removed) removed.push(key)
    if (expired.unused) unused.push(expired.unused)
  }
  // Told before the bytes go: who still had the record would look for them.
  const sources = [...new Set(removed.map(({ sourceSha256 }) => sourceSha256))]
  if (sources.length > 0) await announceChanged(parts.notifier, sources)
  for (const object of unused) await deleteBytes(parts, object)
  return removed.length
}

/** They were handed over for deletion with their row: what fails here is tried again. */
async function deleteBytes({ datastores, events }: ExpireParts, object: StoredObject): Promise<void> {
  try {
    await datastores.delete(object)
  } catch (error) {
    const { datastore, location } = object
    events.log.warn({ err: error, datastore, location }, 'could not delete the bytes of a thumbnail; it is tried again')
  }
}
