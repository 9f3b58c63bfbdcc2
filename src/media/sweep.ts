import type { Database } from '../db/connect.ts'
import { noteProgress, progressOf } from '../db/progress.ts'
import type { Datastore, KeptObject } from '../datastores/datastore.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Clock } from '../lib/clock.ts'
import { objectsSwept } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'
import { dropOrphans, inBatches, isOld, isSuspicious, ORPHANS_KEPT_MS, withoutName } from './orphans.ts'

export interface SweepParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'otherPlaces'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/** What one sweep collects before it deletes. If there is more, the next sweep comes for it. */
const COLLECTED_AT_MOST = 10_000

/**
 * Deletes the objects that crashes left between putting and committing: put since the last sweep (a day's grace and another
 * for clocks), older than a day, and named by no record. A datastore whose places tell their day is only looked through
 * for these days. Gives how many were deleted. Where it would be much of what is there it deletes nothing and says so.
 *
 * @throws what the datastore or the database says when it cannot be used; the next sweep goes on from where the last ended
 */
export async function sweep(parts: SweepParts, datastore: Datastore, signal?: AbortSignal): Promise<number> {
  const chore = `sweep ${datastore.id}`
  const from = await progressOf(parts.db.read, chore)
  const began = parts.clock.now()
  const since = from === undefined ? 0 : Number(from) - 2 * ORPHANS_KEPT_MS
  const { orphans, seen } = await collect(parts, datastore, since, signal)
  if (isSuspicious(orphans.length, seen)) {
    const counts = { datastore: datastore.id, objects: orphans.length, of: seen }
    parts.events.log.error(
      counts,
      'much of what a datastore keeps has no record; nothing is deleted: see datastores check',
    )
    return 0
  }
  const dropped = await dropOrphans(parts, datastore, orphans)
  const bytes = dropped.reduce((sum, { size }) => sum + size, 0)
  objectsSwept(parts.events, { datastore: datastore.id, objects: dropped.length, bytes })
  // What was left for the next sweep must be in its reach.
  const reached = orphans.length < COLLECTED_AT_MOST
  if (reached) await parts.db.write(noteProgress, { chore, from, to: String(began), now: began })
  return dropped.length
}

async function collect(
  parts: SweepParts,
  datastore: Datastore,
  since: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly orphans: readonly KeptObject[]; readonly seen: number }> {
  const orphans: KeptObject[] = []
  let seen = 0
  for await (const listed of inBatches(datastore.list({ since }))) {
    signal?.throwIfAborted()
    seen += listed.length
    const old = listed.filter((object) => object.putAt >= since && isOld(object, parts.clock.now()))
    orphans.push(...(await withoutName(parts, datastore, old)))
    if (orphans.length >= COLLECTED_AT_MOST) break
  }
  return { orphans: orphans.slice(0, COLLECTED_AT_MOST), seen }
}
