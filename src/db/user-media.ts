import { sql } from '#kysely'
import { compiled, type Queryable, unindexed } from './query.ts'
import type { MediaKind } from './schema.ts'

/** What somebody uploaded, as administrators see it. */
export interface UserMedia {
  readonly mediaId: string
  readonly sha256: string
  readonly size: number
  readonly kind: MediaKind
  readonly contentType: string
  readonly uploadName: string | null
  readonly createdAt: number
  readonly accessedAt: number | null
  readonly authenticatedAt: number | null
  /** Null: it is not quarantined. */
  readonly quarantinedBy: string | null
  readonly protectedAt: number | null
}

export type UserMediaOrder =
  | 'mediaId'
  | 'uploadName'
  | 'createdAt'
  | 'accessedAt'
  | 'size'
  | 'contentType'
  | 'quarantinedBy'
  | 'isProtected'

export type Direction = 'asc' | 'desc'

export interface UserMediaPage {
  readonly origin: string
  readonly uploader: string
  readonly orderBy: UserMediaOrder
  readonly direction: Direction
  readonly offset: number
  readonly limit: number
}

/** Stands for whoever quarantined media where that was not noted, as with Synapse. */
export const SYSTEM = 'system'

const quarantiner = sql<
  string | null
>`case when media.quarantined_at is not null then coalesce(media.quarantined_by, ${sql.lit(SYSTEM)}) end`

const columns = {
  mediaId: sql`media.media_id`,
  uploadName: sql`media.upload_name`,
  createdAt: sql`media.created_at`,
  accessedAt: sql`media.accessed_at`,
  size: sql`objects.size`,
  contentType: sql`media.content_type`,
  quarantinedBy: quarantiner,
  isProtected: sql`case when media.protected_at is null then 0 else 1 end`,
} as const satisfies Record<UserMediaOrder, unknown>

/**
 * A page of what a user uploaded. Equal ones are in the order of their ids, whatever the direction, and what has no value stands
 * before what has one. All that one user has is looked at: an index finds it, and no index could have it in eight orders.
 */
export async function userMedia(db: Queryable, page: UserMediaPage): Promise<UserMedia[]> {
  const { origin, uploader, orderBy, direction, offset, limit } = page
  return await ofUser(db, { origin, uploader })
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select([
      'media.media_id as mediaId',
      'media.sha256 as sha256',
      'objects.size as size',
      'media.kind as kind',
      'media.content_type as contentType',
      'media.upload_name as uploadName',
      'media.created_at as createdAt',
      'media.accessed_at as accessedAt',
      'media.authenticated_at as authenticatedAt',
      quarantiner.as('quarantinedBy'),
      'media.protected_at as protectedAt',
    ])
    .orderBy(columns[orderBy], (by) => (direction === 'asc' ? by.asc().nullsFirst() : by.desc().nullsLast()))
    .orderBy('media.media_id')
    .limit(limit)
    .offset(offset)
    .execute()
}

/** How many there are in all. */
export async function countUserMedia(
  db: Queryable,
  of: { readonly origin: string; readonly uploader: string },
): Promise<number> {
  const [row] = await countOfUser(db, of)
  return row?.count ?? 0
}

const countOfUser = compiled((db, of: { origin: string; uploader: string }) =>
  ofUser(db, of).select(db.fn.countAll<number>().as('count')),
)

const ofUser = (db: Queryable, { origin, uploader }: { readonly origin: string; readonly uploader: string }) =>
  db.selectFrom('media').where('media.uploader', '=', uploader).where(unindexed('media.origin'), '=', origin)

/** What says who quarantined some media, and whether they are protected: beside what every request needs to know. */
export interface Standing {
  readonly quarantinedBy: string | null
  readonly protectedAt: number | null
}

export const standingOf = async (
  db: Queryable,
  { origin, mediaId }: { readonly origin: string; readonly mediaId: string },
): Promise<Standing | undefined> => (await standing(db, { origin, mediaId }))[0]

const standing = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('media')
    .select(['quarantined_by as quarantinedBy', 'protected_at as protectedAt'])
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId),
)
