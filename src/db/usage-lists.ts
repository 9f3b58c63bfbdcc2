import { sql } from '#kysely'
import { compiled, type Queryable, unindexed } from './query.ts'

/** Where a list of media goes on: behind this time (ms since 1970) and media id. */
export interface MediaPlace {
  readonly at: number
  readonly mediaId: string
}

/** What a user uploaded to a server and is still there, as far as it is folded into the sums. */
export interface UploaderUsage {
  readonly userId: string
  readonly bytes: number
  readonly files: number
}

/** Users with media of a server, by their ids: a page of those behind `after` (empty: from the first). */
export const uploadersPage: (
  db: Queryable,
  page: { readonly server: string; readonly after: string; readonly limit: number },
) => Promise<UploaderUsage[]> = compiled((db, page) =>
  uploaders(db, page.server).where('uploader', '>', page.after).limit(page.limit),
)

/** Those of some users who have media of a server, by their ids. */
export async function uploadersNamed(
  db: Queryable,
  { server, userIds }: { readonly server: string; readonly userIds: readonly string[] },
): Promise<UploaderUsage[]> {
  if (userIds.length === 0) return []
  return await uploaders(db, server)
    .where('uploader', 'in', [...userIds])
    .execute()
}

function uploaders(db: Queryable, server: string) {
  return db
    .selectFrom('uploader_days')
    .select(['uploader as userId', 'bytes', 'files'])
    .where('server', '=', server)
    .where(sql<boolean>`day = -1`)
    .where('files', '>', 0)
    .orderBy('uploader')
}

/** Media that a user uploaded to a server, oldest first. */
export const uploadsOfUser = (
  db: Queryable,
  {
    after,
    ...of
  }: { readonly server: string; readonly userId: string; readonly after: MediaPlace; readonly limit: number },
): Promise<MediaPlace[]> => userPage(db, { ...of, ...after })

const userPage = compiled(
  (db, page: MediaPlace & { readonly server: string; readonly userId: string; readonly limit: number }) =>
    db
      .selectFrom('media')
      .select(['created_at as at', 'media_id as mediaId'])
      .where('uploader', '=', page.userId)
      .where(unindexed('origin'), '=', page.server)
      .where(sql<boolean>`(created_at, media_id) > (${page.at}, ${page.mediaId})`)
      .orderBy('created_at')
      .orderBy('media_id')
      .limit(page.limit),
)

/** Media with where they are. */
export interface ListedMedia {
  readonly mediaId: string
  readonly size: number
  readonly uploader: string | null
  readonly datastore: string
  readonly location: string
  readonly sha256: string
  readonly quarantinedAt: number | null
  readonly uploadName: string | null
  readonly contentType: string
  readonly createdAt: number
}

/** Media of a server, oldest first. */
export const mediaPage = (
  db: Queryable,
  { after, ...of }: { readonly server: string; readonly after: MediaPlace; readonly limit: number },
): Promise<ListedMedia[]> => serverPage(db, { ...of, ...after })

const serverPage = compiled((db, page: MediaPlace & { readonly server: string; readonly limit: number }) =>
  listedMedia(db, page.server)
    .where(sql<boolean>`(media.created_at, media.media_id) > (${page.at}, ${page.mediaId})`)
    .limit(page.limit),
)

/** Those of some media of a server that there are, oldest first. */
export async function mediaNamed(
  db: Queryable,
  { server, mediaIds }: { readonly server: string; readonly mediaIds: readonly string[] },
): Promise<ListedMedia[]> {
  if (mediaIds.length === 0) return []
  return await listedMedia(db, server)
    .where('media.media_id', 'in', [...mediaIds])
    .execute()
}

function listedMedia(db: Queryable, server: string) {
  return db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select([
      'media.media_id as mediaId',
      'objects.size as size',
      'media.uploader as uploader',
      'objects.datastore as datastore',
      'objects.location as location',
      'media.sha256 as sha256',
      'media.quarantined_at as quarantinedAt',
      'media.upload_name as uploadName',
      'media.content_type as contentType',
      'media.created_at as createdAt',
    ])
    .where('media.origin', '=', server)
    .orderBy('media.created_at')
    .orderBy('media.media_id')
}
