import { sql } from '#kysely'
import { withoutMmrs } from './mmr/places.ts'
import { databaseNow, type Queryable, unit } from './query.ts'

/** Where some bytes are: a datastore's id, and its location there. */
export interface Place {
  readonly datastore: string
  readonly location: string
}

/**
 * Hands bytes that no object's row names over for deletion, in `afterMs`: nobody can be reading them by then who found them
 * before. In the transaction that took their name away, so that a crash cannot leave them behind.
 */
export async function handOver(tx: Queryable, place: Place, afterMs: number): Promise<void> {
  await handOverAll(tx, [place], afterMs)
}

/** The same for several. What a row of MMR's names is not handed over, until its take-over is finished. */
export async function handOverAll(tx: Queryable, all: readonly Place[], afterMs: number): Promise<void> {
  const places = await withoutMmrs(tx, all)
  if (places.length === 0) return
  const delete_after = sql<number>`${databaseNow(tx)} + ${afterMs}`
  await tx
    .insertInto('unused_objects')
    .values(places.map(({ datastore, location }) => ({ datastore, location, delete_after })))
    .onConflict((conflict) => conflict.columns(['datastore', 'location']).doUpdateSet({ delete_after }))
    .execute()
}

/** As `handOver`, by itself; also for bytes of which it is not known whether a row names them. */
export const deleteLater = unit(
  'deleteLater',
  async (tx, { afterMs, ...place }: Place & { afterMs: number }): Promise<void> => await handOver(tx, place, afterMs),
)

/** Bytes handed over for deletion whose time has come, at most `limit`. Those whose row came back, or that MMR names, are named. */
export async function unusedPlaces(db: Queryable, limit: number): Promise<(Place & { readonly isNamed: boolean })[]> {
  const rows = await db
    .selectFrom('unused_objects')
    .leftJoin('objects', (join) =>
      join
        .onRef('objects.datastore', '=', 'unused_objects.datastore')
        .onRef('objects.location', '=', 'unused_objects.location'),
    )
    .select([
      'unused_objects.datastore as datastore',
      'unused_objects.location as location',
      'objects.sha256 as namedBy',
    ])
    .where('delete_after', '<=', databaseNow(db))
    .orderBy('delete_after')
    .limit(limit)
    .execute()
  const free = new Set(await withoutMmrs(db, rows))
  return rows.map((row) => {
    const { namedBy, ...place } = row
    return { ...place, isNamed: namedBy !== null || !free.has(row) }
  })
}

/** Those of `locations` that were handed over for deletion and are to stay a while yet, for whoever is reading them. */
export async function stillToStay(db: Queryable, datastore: string, locations: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('unused_objects')
    .select('location')
    .where('datastore', '=', datastore)
    .where('location', 'in', [...locations])
    .where('delete_after', '>', databaseNow(db))
    .execute()
  return rows.map(({ location }) => location)
}

/** Notes that bytes are deleted, or turned out to be somebody's. */
export const forgetUnused = unit('forgetUnused', async (tx, places: readonly Place[]): Promise<void> => {
  for (const { datastore, location } of places) {
    await tx.deleteFrom('unused_objects').where('datastore', '=', datastore).where('location', '=', location).execute()
  }
})
