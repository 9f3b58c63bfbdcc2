/** What looking after stored objects asks and notes: who names which, which are gone, which are damaged. */
import { compiled, type Queryable, unit } from './query.ts'
import { KNOWN, type KnownObject, type StoredObject } from './objects.ts'

/** The rows of those of `locations` that have one. For some hundreds of locations at a time. */
export const objectsAt = (
  db: Queryable,
  datastore: string,
  locations: readonly string[],
): Promise<readonly KnownObject[]> =>
  db
    .selectFrom('objects')
    .select(KNOWN)
    .where('datastore', '=', datastore)
    .where('location', 'in', [...locations])
    .execute()

/** Up to `limit` rows of a datastore in the order of their locations, from after `after` on. '' is before all. */
export const objectsAfterLocation = compiled((db, from: { datastore: string; after: string; limit: number }) =>
  db
    .selectFrom('objects')
    .select([...KNOWN, 'created_at as createdAt'])
    .where('datastore', '=', from.datastore)
    .where('location', '>', from.after)
    .orderBy('location')
    .limit(from.limit),
)

/** Up to `limit` rows in the order of their hashes, from after `after` on: an order in which neighbours have nothing in common. */
export const objectsAfterHash = compiled((db, from: { after: string; limit: number }) =>
  db.selectFrom('objects').select(KNOWN).where('sha256', '>', from.after).orderBy('sha256').limit(from.limit),
)

/** Some of the names of some content, and its kind of media, for people to recognise what is lost. */
export const namesOf = compiled((db, of: { sha256: string; limit: number }) =>
  db
    .selectFrom('media')
    .select(['origin', 'media_id as mediaId', 'kind'])
    .where('sha256', '=', of.sha256)
    .limit(of.limit),
)

interface Marked extends Pick<StoredObject, 'sha256' | 'datastore' | 'location'> {
  readonly now: number
}

/**
 * Notes that an object's bytes are gone; `damaged`: that they are there and others than its hash says, so that nobody shall
 * have them. Gives whether this is news: the row may point elsewhere by now, or say so already.
 */
export const markLost = unit('markLost', async (tx, lost: Marked & { damaged: boolean }): Promise<boolean> => {
  const { numUpdatedRows } = await tx
    .updateTable('objects')
    .set(lost.damaged ? { lost_at: lost.now, damaged_at: lost.now } : { lost_at: lost.now })
    .where('sha256', '=', lost.sha256)
    .where('datastore', '=', lost.datastore)
    .where('location', '=', lost.location)
    .where('lost_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
})

/** Notes that an object's bytes are not what its hash says. They stay, and are served until somebody decides. */
export const markDamaged = unit('markDamaged', async (tx, damaged: Marked): Promise<boolean> => {
  const { numUpdatedRows } = await tx
    .updateTable('objects')
    .set({ damaged_at: damaged.now })
    .where('sha256', '=', damaged.sha256)
    .where('datastore', '=', damaged.datastore)
    .where('location', '=', damaged.location)
    .where('damaged_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
})

/** Takes back what `markLost` and `markDamaged` noted: the right bytes are there (a disk was mounted again, a backup restored). */
export const markIntact = unit('markIntact', async (tx, intact: Omit<Marked, 'now'>): Promise<boolean> => {
  const { numUpdatedRows } = await tx
    .updateTable('objects')
    .set({ lost_at: null, damaged_at: null })
    .where('sha256', '=', intact.sha256)
    .where('datastore', '=', intact.datastore)
    .where('location', '=', intact.location)
    .where((is) => is.or([is('lost_at', 'is not', null), is('damaged_at', 'is not', null)]))
    .executeTakeFirst()
  return numUpdatedRows > 0n
})
