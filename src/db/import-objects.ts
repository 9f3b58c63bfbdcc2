import { lockObjects, type OfferedObject, settleObject, type StoredObject } from './objects.ts'
import type { Queryable } from './query.ts'
import { countUsage } from './usage.ts'

/** What the contents of a batch are stored as. */
export interface SettledObjects {
  readonly stored: ReadonlyMap<string, StoredObject>
  /** Bytes that were put and that no row names: another had been quicker, or the batch brought the content twice. */
  readonly unused: readonly StoredObject[]
}

/**
 * As `settleObject`, for many at once, each content maybe several times. What was found before and is gone is not among those stored.
 * `batch` is a name that no other batch has.
 */
export async function settleObjects(
  tx: Queryable,
  offered: readonly OfferedObject[],
  { batch, now }: { readonly batch: string; readonly now: number },
): Promise<SettledObjects> {
  const healing = [
    ...new Map(offered.filter(({ replaces }) => replaces).map((object) => [object.sha256, object])).values(),
  ]
  for (const object of healing) await settleObject(tx, object, now)
  const inserted = await insertFresh(tx, offered, now)
  await countInserted(tx, inserted, batch)
  const sha256s = [...new Set(offered.map(({ sha256 }) => sha256))].toSorted()
  const stored = new Map((await lockObjects(tx, sha256s)).map((row) => [row.sha256, row]))
  const unused = offered.filter((object) => object.fresh && !isAt(stored.get(object.sha256), object))
  return { stored, unused }
}

const isAt = (row: StoredObject | undefined, object: StoredObject) =>
  row?.datastore === object.datastore && row.location === object.location

/** In the order of their hashes, as everybody who locks several: no two transactions then wait for each other. */
async function insertFresh(tx: Queryable, offered: readonly OfferedObject[], now: number): Promise<StoredObject[]> {
  const fresh = new Map(
    offered.filter((object) => object.fresh && !object.replaces).map((object) => [object.sha256, object]),
  )
  if (fresh.size === 0) return []
  const rows = [...fresh.values()].toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1))
  return await tx
    .insertInto('objects')
    .values(
      rows.map(({ sha256, size, datastore, location }) => ({ sha256, size, datastore, location, created_at: now })),
    )
    .onConflict((conflict) => conflict.column('sha256').doNothing())
    .returning(['sha256', 'size', 'datastore', 'location'])
    .execute()
}

/** One difference a datastore. */
async function countInserted(tx: Queryable, inserted: readonly StoredObject[], batch: string): Promise<void> {
  for (const [datastore, objects] of Map.groupBy(inserted, (object) => object.datastore)) {
    const bytes = objects.reduce((sum, { size }) => sum + size, 0)
    await countUsage(tx, [{ subject: `datastore:${datastore}`, changeId: batch, bytes, files: objects.length }])
  }
}
