import { uploadedAt } from './archive-imports.ts'
import { exportedAt } from './exports.ts'
import { ofOthers } from './foreign-places.ts'
import { placesOfMmr } from './mmr/places.ts'
import { objectsAt } from './object-care.ts'
import type { Queryable } from './query.ts'
import { stillToStay } from './unused.ts'

type Named = (db: Queryable, datastore: string, locations: readonly string[]) => Promise<readonly string[]>

/**
 * The registry of who names places in datastores. What none of these names is nobody's, and will be deleted: a new table that
 * holds locations needs its line here. (MMR asks media and thumbnails only, and so lists archives as safe to delete.)
 */
const namers: readonly Named[] = [
  async (db, datastore, locations) => (await objectsAt(db, datastore, locations)).map(({ location }) => location),
  // What a transfer left behind is as old as the object, and would look like an orphan until it is deleted.
  stillToStay,
  // MMR may be started again, until its take-over is finished.
  placesOfMmr,
  // A homeserver's own, in a bucket that we share with it.
  ofOthers,
  exportedAt,
  uploadedAt,
]

/** Those of `locations` that any record names. For some hundreds at a time. */
export async function namedLocations(
  db: Queryable,
  datastore: string,
  locations: readonly string[],
): Promise<ReadonlySet<string>> {
  if (locations.length === 0) return new Set()
  return new Set((await Promise.all(namers.map((named) => named(db, datastore, locations)))).flat())
}
