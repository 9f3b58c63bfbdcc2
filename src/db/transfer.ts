import { type ExpressionBuilder, sql } from '#kysely'
import type { StoredObject } from './objects.ts'
import { lockRows, type Queryable, unit } from './query.ts'
import type { Schema } from './schema.ts'
import { type HeldTask, type JsonObject, lockHeldTask, setProgress } from './tasks.ts'
import { handOver, type Place } from './unused.ts'
import { countUsage } from './usage.ts'

/** A page of a datastore's objects, in the order of their locations. */
export interface PageOptions {
  readonly datastore: string
  /** Only what comes after this location; empty: from the beginning. */
  readonly after: string
  readonly limit: number
  /** Objects that were read at this time (ms since 1970) or later are marked; null: none is. */
  readonly readSince: number | null
}

export interface Candidate extends StoredObject {
  /** It was read at `readSince` or later, under one of its names. What has no time of access was not. */
  readonly isRecent: boolean
  /** What the first who named it said that it is, or its thumbnail's type; null: it has no name. */
  readonly contentType: string | null
}

/**
 * The next objects of a datastore, recently read or not, by its index: however large the datastore, a page costs the same,
 * and whoever reads all of them holds one page.
 */
export async function objectsPage(db: Queryable, page: PageOptions): Promise<Candidate[]> {
  const rows = await pageOf(db, page)
    .select(['sha256', 'size', 'datastore', 'location'])
    .select((row) => [recentlyRead(row, page.readSince).as('recent'), mediaType(row).as('contentType')])
    .execute()
  return rows.map(({ recent, ...object }) => ({ ...object, isRecent: recent === 1 }))
}

function pageOf(db: Queryable, { datastore, after, limit }: PageOptions) {
  return db
    .selectFrom('objects')
    .where('datastore', '=', datastore)
    .where('location', '>', after)
    .orderBy('location')
    .limit(limit)
}

function recentlyRead(row: ExpressionBuilder<Schema, 'objects'>, since: number | null) {
  if (since === null) return sql<number>`0`
  const media = row
    .selectFrom('media')
    .select('media.media_id')
    .whereRef('media.sha256', '=', 'objects.sha256')
    .where('media.accessed_at', '>=', since)
  const thumbnails = row
    .selectFrom('thumbnails')
    .select('thumbnails.method')
    .whereRef('thumbnails.sha256', '=', 'objects.sha256')
    .where('thumbnails.accessed_at', '>=', since)
  return sql<number>`case when exists ${media} or exists ${thumbnails} then 1 else 0 end`
}

function mediaType(row: ExpressionBuilder<Schema, 'objects'>) {
  const media = row
    .selectFrom('media')
    .select('content_type')
    .whereRef('media.sha256', '=', 'objects.sha256')
    .orderBy('media.created_at')
    .limit(1)
  const thumbnail = row
    .selectFrom('thumbnails')
    .select('content_type')
    .whereRef('thumbnails.sha256', '=', 'objects.sha256')
    .limit(1)
  return sql<string | null>`coalesce(${media}, ${thumbnail})`
}

/** An object with the number of its names, for an estimate of what a transfer would move. */
export interface CountedObject extends StoredObject {
  readonly isRecent: boolean
  readonly mediaNames: number
  readonly thumbnailNames: number
}

/** As `objectsPage`, with how many media and thumbnails each object is. */
export async function countedPage(db: Queryable, page: PageOptions): Promise<CountedObject[]> {
  const rows = await pageOf(db, page)
    .select(['sha256', 'size', 'datastore', 'location'])
    .select((row) => [
      recentlyRead(row, page.readSince).as('recent'),
      row
        .selectFrom('media')
        .select(sql<number>`count(*)`.as('count'))
        .whereRef('media.sha256', '=', 'objects.sha256')
        .as('mediaNames'),
      row
        .selectFrom('thumbnails')
        .select(sql<number>`count(*)`.as('count'))
        .whereRef('thumbnails.sha256', '=', 'objects.sha256')
        .as('thumbnailNames'),
    ])
    .execute()
  return rows.map(({ recent, mediaNames, thumbnailNames, ...object }) => ({
    ...object,
    isRecent: recent === 1,
    mediaNames: mediaNames ?? 0,
    thumbnailNames: thumbnailNames ?? 0,
  }))
}

export interface MovedObject extends HeldTask {
  readonly object: StoredObject
  /** The proven copy. */
  readonly to: Place
  /** How long the old bytes stay, in ms, for those who are reading them. */
  readonly keepMs: number
  /** How far the task is with this one moved. */
  readonly progress: JsonObject
}

export type MoveResult =
  | 'moved'
  /** It was deleted, moved or put anew meanwhile: the copy is nobody's. */
  | 'changed'
  /** The task is another instance's by now, or ended: the copy is nobody's. */
  | 'lost'

/**
 * Makes an object's row name its copy, and with it every name the content has: they all point at this one row. In the same
 * transaction the usage moves along, the old bytes are handed over for deletion, and the task's progress is written down.
 */
export const moveObject = unit('moveObject', async (tx, move: MovedObject): Promise<MoveResult> => {
  if (!(await lockHeldTask(tx, move))) return 'lost'
  const { object, to } = move
  const found = await lockRows(
    tx,
    tx.selectFrom('objects').select(['size', 'datastore', 'location']).where('sha256', '=', object.sha256),
  ).executeTakeFirst()
  if (found?.datastore !== object.datastore || found.location !== object.location) return 'changed'
  await tx
    .updateTable('objects')
    .set({ datastore: to.datastore, location: to.location, lost_at: null, damaged_at: null })
    .where('sha256', '=', object.sha256)
    .execute()
  await countUsage(tx, [
    { subject: `datastore:${object.datastore}`, changeId: `${to.location} moved`, bytes: -found.size, files: -1 },
    { subject: `datastore:${to.datastore}`, changeId: to.location, bytes: found.size, files: 1 },
  ])
  await handOver(tx, object, move.keepMs)
  await setProgress(tx, move.id, move.progress)
  return 'moved'
})
