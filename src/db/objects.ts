import { sql } from '#kysely'
import { compiled, isAnyOf, lockRows, type Queryable } from './query.ts'
import { withoutMmrs } from './mmr/places.ts'
import { handOver, handOverAll } from './unused.ts'
import { countUsage } from './usage.ts'

/** Where the bytes of a SHA-256 are. */
export interface StoredObject {
  readonly sha256: string
  readonly size: number
  readonly datastore: string
  readonly location: string
}

/** What is known of stored bytes that did not keep. */
export interface ObjectState {
  /** Since when they are known to be gone, in ms since 1970; null: they are taken to be there. */
  readonly lostAt: number | null
  /** Since when they are known to be others than their hash says. */
  readonly damagedAt: number | null
}

export type KnownObject = StoredObject & ObjectState

/** The columns of a `KnownObject`. */
export const KNOWN = [
  'sha256',
  'size',
  'datastore',
  'location',
  'lost_at as lostAt',
  'damaged_at as damagedAt',
] as const

/** Somebody may just be reading them. */
const NAMELESS_KEPT_MS = 3600 * 1000

/**
 * What an upload brings to a commit: its content, and where that was put. `fresh` bytes were put by this very upload;
 * otherwise the object row named here was found, its bytes seen, and nothing was put. `replaces` names a row whose bytes
 * are gone, damaged or out of reach: the fresh ones take its place (MMR keeps pointing at the lost ones for ever,
 * matrix-media-repo#232). `outOfReach`: they are there as far as anybody knows, and are to be deleted.
 */
export interface OfferedObject extends StoredObject {
  readonly fresh: boolean
  readonly replaces?: { readonly datastore: string; readonly location: string; readonly outOfReach?: boolean }
}

/** What a hash stands for after a commit. */
export interface SettledObject extends StoredObject {
  /** This content was not stored before: no name points at it. */
  readonly isNew: boolean
}

/** What `sha256` is stored as, if it is. */
export const findObject = async (db: Queryable, sha256: string): Promise<KnownObject | undefined> =>
  (await objectByHash(db, { sha256 }))[0]

const objectByHash = compiled((db, { sha256 }: { sha256: string }) =>
  db.selectFrom('objects').select(KNOWN).where('sha256', '=', sha256),
)

/** As `findObject`, with the row locked until the transaction ends: whoever points at the content or deletes it waits. */
export const lockObject = compiled((tx, { sha256 }: { sha256: string }) =>
  lockRows(tx, tx.selectFrom('objects').select(KNOWN).where('sha256', '=', sha256)),
)

/** As `lockObject`, for several: in one order everywhere, so that two transactions cannot lock each other out. */
export async function lockObjects(tx: Queryable, sha256s: readonly string[]): Promise<KnownObject[]> {
  if (sha256s.length === 0) return []
  const rows = tx
    .selectFrom('objects')
    .select(KNOWN)
    .where(isAnyOf(tx, 'objects.sha256', sha256s))
  return await lockRows(tx, rows.orderBy('sha256')).execute()
}

const insertObject = compiled((tx, row: StoredObject & { now: number }) =>
  tx
    .insertInto('objects')
    .values({
      sha256: row.sha256,
      size: row.size,
      datastore: row.datastore,
      location: row.location,
      created_at: row.now,
    })
    .onConflict((conflict) => conflict.column('sha256').doNothing())
    .returning('sha256'),
)

/**
 * Settles which bytes a hash stands for, inside the transaction that will point at them: the row is locked, so that it
 * cannot be deleted in between. Gives undefined when bytes that were found before are no longer there (the caller puts its
 * own and comes again).
 */
export async function settleObject(
  tx: Queryable,
  offered: OfferedObject,
  now: number,
): Promise<SettledObject | undefined> {
  const { sha256, size, datastore, location } = offered
  if (offered.fresh) {
    const inserted = await insertObject(tx, { sha256, size, datastore, location, now })
    if (inserted.length > 0) {
      await countUsage(tx, [{ subject: `datastore:${datastore}`, changeId: location, bytes: size, files: 1 }])
      return { sha256, size, datastore, location, isNew: true }
    }
  }
  const [stored] = await lockObject(tx, { sha256 })
  if (!stored) return undefined
  const lost = offered.replaces
  if (offered.fresh && lost && stored.datastore === lost.datastore && stored.location === lost.location) {
    await replaceObject(tx, stored, offered, lost.outOfReach ?? false)
    return { sha256, size, datastore, location, isNew: false }
  }
  return { sha256, size: stored.size, datastore: stored.datastore, location: stored.location, isNew: false }
}

async function replaceObject(
  tx: Queryable,
  lost: KnownObject,
  found: StoredObject,
  outOfReach: boolean,
): Promise<void> {
  await tx
    .updateTable('objects')
    .set({ datastore: found.datastore, location: found.location, lost_at: null, damaged_at: null })
    .where('sha256', '=', lost.sha256)
    .execute()
  // Damaged ones, and those out of reach, are nobody's now. Those that were only not found stay, should they turn up: their disk may not be mounted.
  if (lost.damagedAt !== null || outOfReach) await handOver(tx, lost, NAMELESS_KEPT_MS)
  await countUsage(tx, [
    { subject: `datastore:${lost.datastore}`, changeId: `${found.location} lost`, bytes: -lost.size, files: -1 },
    { subject: `datastore:${found.datastore}`, changeId: found.location, bytes: found.size, files: 1 },
  ])
}

/**
 * Deletes the row of an object that nothing refers to, and gives it, so that its bytes can be deleted once that is committed.
 * Undefined: something refers to it, it is gone already, or its bytes are to stay.
 */
export async function deleteUnusedObject(
  tx: Queryable,
  sha256: string,
  now: number,
): Promise<StoredObject | undefined> {
  return (await deleteUnusedObjects(tx, [sha256], now))[0]
}

/** The same for several; gives those that nothing refers to, and whose bytes may go. */
export async function deleteUnusedObjects(
  tx: Queryable,
  sha256s: readonly string[],
  now: number,
): Promise<StoredObject[]> {
  if (sha256s.length === 0) return []
  // Locked by a statement of its own: the next one then sees every name that somebody committed while we waited.
  await lockObjects(tx, sha256s)
  const unused = await deleteThoseUnused(tx, sha256s)
  for (const [datastore, [first, ...others]] of Map.groupBy(unused, (object) => object.datastore)) {
    if (!first) continue
    const bytes = [first, ...others].reduce((sum, object) => sum - object.size, 0)
    const changeId = `${first.location} deleted ${now}`
    await countUsage(tx, [{ subject: `datastore:${datastore}`, changeId, bytes, files: -1 - others.length }])
  }
  // MMR may be started again: what a row of its names stays, until its take-over is finished.
  const free = await withoutMmrs(tx, unused)
  // Where bytes cannot be deleted at once, or nobody is left to do it, that is tried again.
  await handOverAll(tx, free, DELETE_AGAIN_AFTER_MS)
  return free
}

const DELETE_AGAIN_AFTER_MS = 10 * 60_000

async function deleteThoseUnused(tx: Queryable, sha256s: readonly string[]): Promise<StoredObject[]> {
  const unused = await tx
    .deleteFrom('objects')
    .where(isAnyOf(tx, 'objects.sha256', sha256s))
    .where((is) =>
      is.not(is.exists(is.selectFrom('media').select('media_id').whereRef('media.sha256', '=', 'objects.sha256'))),
    )
    .where((is) => is.not(is.exists(thumbnailsBy(tx, 'thumbnails.sha256'))))
    .where((is) => is.not(is.exists(thumbnailsBy(tx, 'thumbnails.source_sha256'))))
    .returning(['sha256', 'size', 'datastore', 'location'])
    .execute()
  return unused.toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1))
}

const thumbnailsBy = (tx: Queryable, column: 'thumbnails.sha256' | 'thumbnails.source_sha256') =>
  tx.selectFrom('thumbnails').select('thumbnails.width').where(column, '=', sql.ref<string>('objects.sha256'))
