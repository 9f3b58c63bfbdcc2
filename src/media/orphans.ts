import type { Database } from '../db/connect.ts'
import { namedLocations } from '../db/named-locations.ts'
import type { Datastore, KeptObject } from '../datastores/datastore.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Clock } from '../lib/clock.ts'

/** Objects younger than this may belong to an upload that has put its bytes and not yet committed its record. */
export const ORPHANS_KEPT_MS = 24 * 3600 * 1000
/** Below this, a few odd files are all that a small server has. */
const FEW = 20

/** Whether `found` out of `all` is so much that rather the datastore or the database is the wrong one. */
export function isSuspicious(found: number, all: number): boolean {
  return found * 2 > all || (found >= FEW && found * 10 > all)
}

interface OrphanParts {
  readonly db: Pick<Database, 'read'>
  readonly datastores: Pick<Datastores, 'otherPlaces'>
  readonly clock: Clock
}

/** Those of `listed` that no record names, under whatever id the place where they lie is configured. */
export async function withoutName(
  parts: Pick<OrphanParts, 'db' | 'datastores'>,
  datastore: Datastore,
  listed: readonly KeptObject[],
): Promise<readonly KeptObject[]> {
  const locations = listed.map(({ location }) => location)
  const named = await namedLocations(parts.db.read, datastore.id, locations)
  const unnamed = listed.filter(({ location }) => !named.has(location))
  const namedElsewhere = await namedByOthers(parts, datastore, unnamed)
  return unnamed.filter(({ location }) => !namedElsewhere.has(location))
}

/** Locations of objects that records name as another datastore's, because two ids stand for one folder or bucket. */
async function namedByOthers(
  { db, datastores }: Pick<OrphanParts, 'db' | 'datastores'>,
  { id }: Datastore,
  listed: readonly KeptObject[],
): Promise<ReadonlySet<string>> {
  const places = listed.flatMap(({ location }) =>
    datastores.otherPlaces({ datastore: id, location }).map((other) => ({ location, other })),
  )
  const named = new Set<string>()
  for (const [otherId, group] of Map.groupBy(places, ({ other }) => other.datastore)) {
    const locations = group.map(({ other }) => other.location)
    const found = await namedLocations(db.read, otherId, locations)
    for (const { location, other } of group) if (found.has(other.location)) named.add(location)
  }
  return named
}

/** Whether an object has been there for so long that no upload can be about to name it. */
export function isOld({ putAt }: Pick<KeptObject, 'putAt'>, now: number): boolean {
  return putAt <= now - ORPHANS_KEPT_MS
}

/** Deletes objects that no record names, having asked once more; gives those deleted. */
export async function dropOrphans(
  parts: OrphanParts,
  datastore: Datastore,
  orphans: readonly KeptObject[],
): Promise<readonly KeptObject[]> {
  const old = orphans.filter((orphan) => isOld(orphan, parts.clock.now()))
  const dropped = await withoutName(parts, datastore, old)
  for (const { location } of dropped) await datastore.delete(location)
  return dropped
}

/** Some hundreds of what is listed at a time. */
export async function* inBatches<Item>(items: AsyncIterable<Item> | Iterable<Item>): AsyncGenerator<Item[]> {
  let batch: Item[] = []
  for await (const item of items) {
    if (batch.push(item) < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** How many places one query asks for. */
export const BATCH = 500
