import { compiled, type Queryable } from './query.ts'

/**
 * The ids of all datastores that objects lie in, from the objects themselves. One step through the index on their places for
 * each id, however many objects there are.
 */
export async function datastoresInUse(db: Queryable): Promise<string[]> {
  const found: string[] = []
  for (let [next] = await firstDatastore(db, {}); next; [next] = await datastoreAfter(db, next))
    found.push(next.datastore)
  return found
}

const firstDatastore = compiled((db, _none: object) =>
  db.selectFrom('objects').select('datastore').orderBy('datastore').limit(1),
)

const datastoreAfter = compiled((db, { datastore }: { datastore: string }) =>
  db.selectFrom('objects').select('datastore').where('datastore', '>', datastore).orderBy('datastore').limit(1),
)
