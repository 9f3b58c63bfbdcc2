import { sql } from '#kysely'
import { compiled, isAnyOf, passingUnit, type Queryable, unit } from './query.ts'
import {
  deleteUnusedObject,
  lockObject,
  type ObjectState,
  type OfferedObject,
  settleObject,
  type StoredObject,
} from './objects.ts'
import { countUsage } from './usage.ts'

/** Which thumbnail of some content: the size asked for after MMR's choice among the configured ones, in pixels. */
export interface ThumbnailKey {
  readonly sourceSha256: string
  readonly width: number
  readonly height: number
  readonly method: string
  readonly variant: string
}

/** A thumbnail to look for. */
export interface WantedThumbnail extends ThumbnailKey {
  /** Other variants that would do, the best first. */
  readonly orElse?: readonly string[]
  /** Tells it from all others that are made of the same content. */
  readonly label?: string
}

/** A thumbnail that is stored. Its object may be the source itself, where that is small enough. */
export interface ThumbnailRecord extends StoredObject, Partial<ObjectState> {
  readonly contentType: string
  /** Which one it is of those that would have done. */
  readonly variant: string
  /** When it was last used, or else made, in ms since 1970. */
  readonly usedAt: number
}

const lastUse = sql<number>`coalesce(thumbnails.accessed_at, thumbnails.created_at)`

/** The stored thumbnail, if there is one; of several variants that would do, the best. */
export async function findThumbnail(db: Queryable, wanted: WantedThumbnail): Promise<ThumbnailRecord | undefined> {
  const found = await thumbnailsOfSize(db, wanted)
  for (const variant of [wanted.variant, ...(wanted.orElse ?? [])]) {
    const row = found.find((thumbnail) => thumbnail.variant === variant)
    if (row) return row
  }
  return undefined
}

/** All variants: they are next to each other in the index, and few. */
const thumbnailsOfSize = compiled((db, key: WantedThumbnail) =>
  db
    .selectFrom('thumbnails')
    .innerJoin('objects', 'objects.sha256', 'thumbnails.sha256')
    .select([
      'objects.sha256 as sha256',
      'objects.size as size',
      'objects.datastore as datastore',
      'objects.location as location',
      'objects.lost_at as lostAt',
      'objects.damaged_at as damagedAt',
      'thumbnails.content_type as contentType',
      lastUse.as('usedAt'),
      'thumbnails.variant as variant',
    ])
    .where('thumbnails.source_sha256', '=', key.sourceSha256)
    .where('thumbnails.width', '=', key.width)
    .where('thumbnails.height', '=', key.height)
    .where('thumbnails.method', '=', key.method),
)

export interface CommittedThumbnail extends ThumbnailKey {
  readonly contentType: string
  readonly createdAt: number
  /** The server for whose media it is made: its usage has it, also where others have the same content. */
  readonly madeFor: string
  readonly object: OfferedObject
}

export type ThumbnailCommitResult =
  | { readonly outcome: 'stored'; readonly object: StoredObject }
  | { readonly outcome: 'object_gone' }
  /** The content it was made of was deleted meanwhile: nothing was kept. */
  | { readonly outcome: 'source_gone' }

/** Whether these bytes were made, as the thumbnail of others: they may not be on a disk yet. */
export const isThumbnail = async (db: Queryable, sha256: string): Promise<boolean> =>
  (await thumbnailWithBytes(db, { sha256 })).length > 0

const thumbnailWithBytes = compiled((db, { sha256 }: { sha256: string }) =>
  db
    .selectFrom('thumbnails')
    .select('width')
    .where('sha256', '=', sha256)
    .where('source_sha256', '<>', sha256)
    .limit(1),
)

/**
 * Stores a thumbnail's object and row. A power failure may undo it: the thumbnail is made anew then. A thumbnail that another instance stored first is replaced, being the same picture. The
 * object of one made differently before goes, unless something else refers to it.
 */
export const commitThumbnail = passingUnit(
  'commitThumbnail',
  async (tx, thumbnail: CommittedThumbnail): Promise<ThumbnailCommitResult> => {
    // Locked, so that a deletion of the source comes before all this or after it, and then takes the thumbnail along.
    const [source] = await lockObject(tx, { sha256: thumbnail.sourceSha256 })
    if (!source) return { outcome: 'source_gone' }
    const object = await settleObject(tx, thumbnail.object, thumbnail.createdAt)
    if (!object) return { outcome: 'object_gone' }
    const [before] = await countedThumbnail(tx, thumbnail)
    const { sourceSha256, width, height, method, variant, contentType, createdAt: at } = thumbnail
    const now = {
      sourceSha256,
      width,
      height,
      method,
      variant,
      madeFor: before?.madeFor ?? thumbnail.madeFor,
      ...object,
    }
    await putThumbnail(tx, { ...now, contentType, at })
    await countThumbnails(tx, { made: [now], gone: before ? [before] : [], at })
    if (before && before.sha256 !== object.sha256) await deleteUnusedObject(tx, before.sha256, at)
    return { outcome: 'stored', object }
  },
)

const putThumbnail = compiled(
  (tx, made: ThumbnailKey & Pick<CommittedThumbnail, 'contentType' | 'madeFor'> & { sha256: string; at: number }) =>
    tx
      .insertInto('thumbnails')
      .values({
        source_sha256: made.sourceSha256,
        width: made.width,
        height: made.height,
        method: made.method,
        variant: made.variant,
        sha256: made.sha256,
        content_type: made.contentType,
        created_at: made.at,
        accessed_at: null,
        made_for: made.madeFor,
      })
      .onConflict((conflict) =>
        conflict.columns(['source_sha256', 'width', 'height', 'method', 'variant']).doUpdateSet((is) => ({
          sha256: is.ref('excluded.sha256'),
          content_type: is.ref('excluded.content_type'),
          created_at: is.ref('excluded.created_at'),
          accessed_at: is.ref('excluded.accessed_at'),
          made_for: is.ref('excluded.made_for'),
        })),
      ),
)

/** A stored thumbnail as `info` lists it. */
export interface ListedThumbnail {
  readonly width: number
  readonly height: number
  readonly method: string
  readonly variant: string
  readonly contentType: string
  readonly size: number
}

/** All thumbnails of some content, the smallest first. */
export const thumbnailsOf = (db: Queryable, sourceSha256: string): Promise<ListedThumbnail[]> =>
  listed(db, { sourceSha256 })

const listed = compiled((db, { sourceSha256 }: { sourceSha256: string }) =>
  db
    .selectFrom('thumbnails')
    .innerJoin('objects', 'objects.sha256', 'thumbnails.sha256')
    .select([
      'thumbnails.width as width',
      'thumbnails.height as height',
      'thumbnails.method as method',
      'thumbnails.variant as variant',
      'thumbnails.content_type as contentType',
      'objects.size as size',
    ])
    .where('thumbnails.source_sha256', '=', sourceSha256)
    .orderBy('thumbnails.width')
    .orderBy('thumbnails.height')
    .orderBy('thumbnails.method')
    .orderBy('thumbnails.variant'),
)

/** Notes when thumbnails were last used. */
export const touchThumbnails = unit(
  'touchThumbnails',
  async (tx, used: readonly (ThumbnailKey & { readonly at: number })[]) => {
    // In one order everywhere, so that two instances cannot lock each other out.
    for (const one of used.toSorted((a, b) => compare(nameOf(a), nameOf(b)))) await setUsed(tx, one)
  },
)

const nameOf = ({ sourceSha256, width, height, method, variant }: ThumbnailKey) =>
  [sourceSha256, width, height, method, variant].join(' ')
const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const setUsed = compiled((tx, key: ThumbnailKey & { readonly at: number }) =>
  tx
    .updateTable('thumbnails')
    .set({ accessed_at: key.at })
    .where('source_sha256', '=', key.sourceSha256)
    .where('width', '=', key.width)
    .where('height', '=', key.height)
    .where('method', '=', key.method)
    .where('variant', '=', key.variant)
    .where(lastUse, '<', key.at),
)

/** Thumbnails that were not used (nor made) since `before`, in ms since 1970: at most `limit`, those unused for longest first. */
export const thumbnailsUnusedSince = (
  db: Queryable,
  page: { readonly before: number; readonly limit: number },
): Promise<ThumbnailKey[]> => unusedPage(db, page)

const unusedPage = compiled((db, { before, limit }: { readonly before: number; readonly limit: number }) =>
  db
    .selectFrom('thumbnails')
    .select(['source_sha256 as sourceSha256', 'width', 'height', 'method', 'variant'])
    .where(lastUse, '<', before)
    .orderBy(lastUse)
    .limit(limit),
)

/** How many thumbnails were not used since `before`, and their bytes; counted up to `limit`. */
export async function countUnusedThumbnails(
  db: Queryable,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<{ readonly count: number; readonly bytes: number }> {
  const some = db.selectFrom('thumbnails').select('sha256').where(lastUse, '<', before).limit(limit)
  return await db
    .selectFrom(some.as('some'))
    .innerJoin('objects', 'objects.sha256', 'some.sha256')
    .select([
      sql<number>`cast(count(*) as bigint)`.as('count'),
      sql<number>`cast(coalesce(sum(objects.size), 0) as bigint)`.as('bytes'),
    ])
    .executeTakeFirstOrThrow()
}

export interface ExpiredThumbnail {
  /** False: it was used meanwhile, or somebody else was sooner. */
  readonly removed: boolean
  /** Its object, if nothing refers to that any more: handed over for deletion, its bytes may go now that this is committed. */
  readonly unused: StoredObject | undefined
}

/** Removes a thumbnail, if it still was not used since `before`. */
export const expireThumbnail = unit(
  'expireThumbnail',
  async (tx, { before, at, ...key }: ThumbnailKey & { before: number; at: number }): Promise<ExpiredThumbnail> => {
    // The content first, as commits and deletions do it, so that neither waits for the other for ever.
    await lockObject(tx, { sha256: key.sourceSha256 })
    const counted = await countedThumbnail(tx, key)
    const [removed] = await deleteIfUnused(tx, { ...key, before })
    if (!removed) return { removed: false, unused: undefined }
    await countThumbnails(tx, { made: [], gone: counted, at })
    return { removed: true, unused: await deleteUnusedObject(tx, removed.sha256, at) }
  },
)

const deleteIfUnused = compiled((tx, key: ThumbnailKey & { readonly before: number }) =>
  tx
    .deleteFrom('thumbnails')
    .where('source_sha256', '=', key.sourceSha256)
    .where('width', '=', key.width)
    .where('height', '=', key.height)
    .where('method', '=', key.method)
    .where('variant', '=', key.variant)
    .where(lastUse, '<', key.before)
    .returning('sha256'),
)

/** A thumbnail as it counts in the usage of a server. */
interface CountedThumbnail extends ThumbnailKey {
  readonly sha256: string
  readonly size: number
  /** Null: it counts for none. */
  readonly madeFor: string | null
}

const counting = (tx: Queryable) =>
  tx
    .selectFrom('thumbnails')
    .innerJoin('objects', 'objects.sha256', 'thumbnails.sha256')
    .select(['source_sha256 as sourceSha256', 'width', 'height', 'method', 'variant', 'made_for as madeFor'])
    .select(['objects.sha256 as sha256', 'objects.size as size'])

/** One, if it is there. */
const countedThumbnail = compiled((tx, key: ThumbnailKey) =>
  counting(tx)
    .where('source_sha256', '=', key.sourceSha256)
    .where('width', '=', key.width)
    .where('height', '=', key.height)
    .where('method', '=', key.method)
    .where('variant', '=', key.variant),
)

/** Those made of some contents. */
const countedThumbnails = (tx: Queryable, sha256s: readonly string[]): Promise<CountedThumbnail[]> =>
  counting(tx)
    .where(isAnyOf(tx, 'source_sha256', sha256s))
    .execute()

async function countThumbnails(
  tx: Queryable,
  { made, gone, at }: { made: readonly CountedThumbnail[]; gone: readonly CountedThumbnail[]; at: number },
): Promise<void> {
  const changes = [...gone.map((one) => ({ ...one, files: -1 })), ...made.map((one) => ({ ...one, files: 1 }))]
  for (const [madeFor, counted] of Map.groupBy(changes, (change) => change.madeFor)) {
    const [first] = counted
    const bytes = counted.reduce((sum, { size, files }) => sum + size * files, 0)
    const files = counted.reduce((sum, change) => sum + change.files, 0)
    if (!first || madeFor === null || (bytes === 0 && files === 0)) continue
    const changeId = `${nameOf(first)} ${first.sha256} ${files} ${at}`
    await countUsage(tx, [{ subject: thumbnailsOfServer(madeFor), changeId, bytes, files }])
  }
}

/** The subject of what the thumbnails of a server's media use. */
export const thumbnailsOfServer = (server: string): string => `thumbnails:${server}`

/** Deletes all thumbnails of some contents, and gives their objects' hashes: whether anything else refers to them is not looked at. */
export async function deleteThumbnailsOf(tx: Queryable, sha256s: readonly string[], at: number): Promise<string[]> {
  const gone = await countedThumbnails(tx, sha256s)
  if (gone.length === 0) return []
  await tx
    .deleteFrom('thumbnails')
    .where(isAnyOf(tx, 'source_sha256', sha256s))
    .execute()
  await countThumbnails(tx, { made: [], gone, at })
  return gone.map(({ sha256 }) => sha256)
}
