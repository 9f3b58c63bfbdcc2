import { compiled, type Queryable, unit } from './query.ts'

/** What in a datastore belongs to somebody else: everything whose place begins with `prefix`. */
export interface ForeignPlaces {
  readonly datastore: string
  readonly prefixes: readonly string[]
}

/** Notes that they are somebody else's, for ever: nothing there is deleted for want of a record. */
export const noteForeignPlaces = unit(
  'noteForeignPlaces',
  async (tx, { datastore, prefixes }: ForeignPlaces): Promise<void> => {
    if (prefixes.length === 0) return
    await tx
      .insertInto('foreign_places')
      .values(prefixes.map((prefix) => ({ datastore, prefix })))
      .onConflict((conflict) => conflict.columns(['datastore', 'prefix']).doNothing())
      .execute()
  },
)

/** Those of `locations` that are somebody else's. */
export async function ofOthers(db: Queryable, datastore: string, locations: readonly string[]): Promise<string[]> {
  const prefixes = await prefixesIn(db, { datastore })
  return locations.filter((location) => prefixes.some(({ prefix }) => location.startsWith(prefix)))
}

const prefixesIn = compiled((db, { datastore }: { datastore: string }) =>
  db.selectFrom('foreign_places').select('prefix').where('datastore', '=', datastore),
)
