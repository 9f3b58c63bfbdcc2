import { isAnyOf, isPostgres, type Queryable } from '../query.ts'
import { findTakeOver, HERE } from './state.ts'

/** How MMR ends the name of each file that it makes: what is at work on another database may have made it since we looked there. */
const MADE_BY_MMR = 'idv2fmt'

/**
 * Those of `locations` that a row of MMR's names, while its take-over is not finished. For some hundreds at a time. What was not copied yet
 * is looked up in MMR's own tables, where they are in this database; where they are not, whatever is named as MMR does counts as its own.
 */
export async function placesOfMmr(db: Queryable, datastore: string, locations: readonly string[]): Promise<string[]> {
  const takeOver = await findTakeOver(db)
  if (!takeOver || takeOver.state === 'finished') return []
  const noted = await notedPlaces(db, datastore, locations)
  if (takeOver.state === 'finishing') return noted
  if (takeOver.source !== HERE) return [...noted, ...locations.filter((location) => location.endsWith(MADE_BY_MMR))]
  if (!isPostgres(db)) return noted
  // Servers that take nothing over need none of it.
  const { mmrLocationsNamed } = await import('./pages.ts')
  return [...noted, ...(await mmrLocationsNamed({ db, schema: takeOver.schema }, datastore, locations))]
}

/** Those that were copied: whatever a record of ours names and one of MMR's does. */
async function notedPlaces(db: Queryable, datastore: string, locations: readonly string[]): Promise<string[]> {
  if (locations.length === 0) return []
  const rows = await db
    .selectFrom('mmr_places')
    .select('location')
    .where('datastore', '=', datastore)
    .where(isAnyOf(db, 'location', locations))
    .execute()
  return rows.map(({ location }) => location)
}

/**
 * Whether matrix-media-repo names what is there, and so may delete it while it is at work again: whoever points at the content anew keeps bytes of
 * his own.
 */
export async function isPlaceOfMmr(
  db: Queryable,
  { datastore, location }: { readonly datastore: string; readonly location: string },
): Promise<boolean> {
  return (await notedPlaces(db, datastore, [location])).length > 0
}

/** Those of some places, of whichever datastores, that no row of MMR's names. */
export async function withoutMmrs<Of extends { readonly datastore: string; readonly location: string }>(
  tx: Queryable,
  places: readonly Of[],
): Promise<Of[]> {
  const free: Of[] = []
  for (const [datastore, some] of Map.groupBy(places, (place) => place.datastore)) {
    const named = new Set(
      await notedPlaces(
        tx,
        datastore,
        some.map(({ location }) => location),
      ),
    )
    free.push(...some.filter(({ location }) => !named.has(location)))
  }
  return free
}
