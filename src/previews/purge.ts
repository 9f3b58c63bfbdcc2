import type { Notifier } from '../coordination/notifier.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import type { StoredObject } from '../db/objects.ts'
import { type PreviewFilter, purgePreviews, sweepFailedPreviews } from '../db/preview-purges.ts'
import type { Clock } from '../lib/clock.ts'
import type { EventParts } from '../lib/events.ts'
import { previewsPurged } from '../lib/preview-events.ts'
import { settleReads } from '../media/reads.ts'
import { announceChanged } from '../media/records.ts'

export interface PurgeParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'delete'>
  readonly notifier: Pick<Notifier, 'announce'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

export interface Purged {
  /** Previews, and failures that were kept. */
  readonly removed: number
  /** Pictures that nothing shows any more. */
  readonly pictures: number
  /** There are more of them. */
  readonly isMore: boolean
}

/** As many pictures as one announcement can name. */
const BATCH = 100

/**
 * Removes previews, about `most` of them, with the pictures that only they showed. When it resolves, no instance answers with them any more. Ends between
 * two batches once `signal` says so.
 *
 * @throws when other instances cannot be told: asking again tells them
 */
export async function removePreviews(
  parts: PurgeParts,
  filter: PreviewFilter,
  by: string | undefined,
  signal: AbortSignal,
  most = Infinity,
): Promise<Purged> {
  let [removed, pictures, isMore] = [0, 0, true]
  while (isMore && removed < most && !signal.aborted) {
    if (filter.unusedSince !== undefined) await settleReads(parts.notifier)
    const batch = await parts.db.write(purgePreviews, { filter, at: parts.clock.now(), limit: BATCH })
    removed += batch.removed
    pictures += batch.pictures.length
    isMore = batch.removed === BATCH
    // Told before the bytes go: who still had the record would look for them.
    if (batch.pictures.length > 0) await announceChanged(parts.notifier, batch.pictures)
    for (const object of batch.unused) await deleteBytes(parts, object)
  }
  // Also when nothing was left to remove: whoever did that may have ended before telling the others.
  if (removed > 0 || by !== undefined) await parts.notifier.announce('purged', '')
  if (removed > 0) previewsPurged(parts.events, { removed, pictures, by })
  return { removed, pictures, isMore }
}

/** Removes failures that nobody is told of any more. */
export async function sweepFailures({ db, clock }: PurgeParts, signal: AbortSignal): Promise<void> {
  const before = clock.now()
  while ((await db.write(sweepFailedPreviews, { before, limit: BATCH })) === BATCH && !signal.aborted);
}

/** They were handed over for deletion with their row: what fails here is tried again. */
async function deleteBytes({ datastores, events }: PurgeParts, object: StoredObject): Promise<void> {
  try {
    await datastores.delete(object)
  } catch (error) {
    const { datastore, location } = object
    events.log.warn({ err: error, datastore, location }, 'could not delete the picture of a preview; it is tried again')
  }
}
