/** What MMR's tables hold, in pages by their unique keys: its database decides how texts are ordered, so only it compares them. */
import { type RawBuilder, sql } from '#kysely'
import { mmrTable, type MmrTables } from './tables.ts'

/** A row of MMR's `media`, with what its other tables say of it. */
export interface MmrMedia {
  readonly origin: string
  readonly mediaId: string
  readonly uploadName: string
  readonly contentType: string
  readonly userId: string
  readonly sha256: string
  readonly size: number
  readonly datastore: string
  readonly location: string
  readonly createdAt: number
  readonly isQuarantined: boolean
  /** Frozen: for authenticated callers only. */
  readonly isRestricted: boolean
  readonly isPinned: boolean
  /** Of its content; null: MMR has no time. */
  readonly accessedAt: number | null
  /** A row of `thumbnails` names its place. */
  readonly isThumbnailsPlace: boolean
  /** A link preview shows it. */
  readonly isInPreview: boolean
}

export interface MmrName {
  readonly origin: string
  readonly mediaId: string
}

/** Some rows of `media`, as a table of a statement. */
type Some = RawBuilder<unknown>

/** The next rows of `media`; `after` null: the first. */
export const mmrMediaPage = (
  tables: MmrTables,
  page: { readonly after: MmrName | null; readonly limit: number; readonly onlyQuarantined?: boolean },
): Promise<MmrMedia[]> =>
  describe(
    tables,
    sql`
    select * from ${mmrTable(tables, 'media')}
    where ${page.after ? sql`(media_id, origin) > (${page.after.mediaId}, ${page.after.origin})` : sql`true`}
      and ${page.onlyQuarantined ? sql`quarantined` : sql`true`}
    order by media_id, origin limit ${page.limit}`,
  )

/** The row of one name, if there is one. */
export const mmrMediaOf = async (tables: MmrTables, name: MmrName): Promise<MmrMedia | undefined> => {
  const { mediaId, origin } = name
  const one = sql`select * from ${mmrTable(tables, 'media')} where media_id = ${mediaId} and origin = ${origin}`
  return (await describe(tables, one))[0]
}

/** The rows of some content; at most `limit`. */
export const mmrMediaOfContent = (tables: MmrTables, sha256: string, limit: number): Promise<MmrMedia[]> =>
  describe(tables, sql`select * from ${mmrTable(tables, 'media')} where sha256_hash = ${sha256} limit ${limit}`)

async function describe(tables: MmrTables, some: Some): Promise<MmrMedia[]> {
  const of = (name: string) => mmrTable(tables, name)
  const named = sql`origin = page.origin and media_id = page.media_id`
  // Subqueries are looked up row by row. For joins PostgreSQL would go through all of each table, for each page again.
  const { rows } = await sql<MmrMedia>`
    with page as materialized (${some})
    select page.origin, page.media_id as "mediaId", page.upload_name as "uploadName",
      page.content_type as "contentType", page.user_id as "userId", lower(page.sha256_hash) as sha256,
      page.size_bytes as size, page.datastore_id as datastore, page.location, page.creation_ts as "createdAt",
      page.quarantined as "isQuarantined",
      coalesce((
        select true from ${of('restricted_media')} where ${named}
          and condition_type = 'io.t2bot.requires_authentication' and condition_value = 'true' limit 1
      ), false) as "isRestricted",
      coalesce((select purpose = 'pinned' from ${of('media_attributes')} where ${named} limit 1), false) as "isPinned",
      (
        select last_access_ts from ${of('last_access')} where sha256_hash = page.sha256_hash limit 1
      ) as "accessedAt",
      page.user_id = '' and coalesce((
        select true from ${of('thumbnails')} as thumbnails
        where thumbnails.datastore_id = page.datastore_id and thumbnails.location = page.location limit 1
      ), false) as "isThumbnailsPlace",
      page.user_id <> '' and page.upload_name = '' and ('mxc://' || page.origin || '/' || page.media_id) in (
        select image_mxc from ${of('url_previews')}
      ) as "isInPreview"
    from page
    order by page.media_id, page.origin`.execute(tables.db)
  return rows
}

/** Those of some names that `media` has. */
export async function mmrNamesThere(tables: MmrTables, names: readonly MmrName[]): Promise<MmrName[]> {
  const ids = names.map(({ mediaId }) => mediaId)
  const origins = names.map(({ origin }) => origin)
  // Row by row, as above.
  const { rows } = await sql<MmrName>`
    select origin, media_id as "mediaId" from unnest(${origins}::text[], ${ids}::text[]) as seen(origin, media_id)
    where (
      select true from ${mmrTable(tables, 'media')} as media
      where media.media_id = seen.media_id and media.origin = seen.origin limit 1
    )`.execute(tables.db)
  return rows
}

/** Those of some places that `media`, `thumbnails` or `export_parts` name. */
export async function mmrLocationsNamed(
  tables: MmrTables,
  datastore: string,
  locations: readonly string[],
): Promise<string[]> {
  const named = (table: string) => sql`(
    select true from ${mmrTable(tables, table)} as namer
    where namer.datastore_id = ${datastore} and namer.location = seen.location limit 1
  )`
  // Row by row, as above. Exports are few, and have no index.
  const { rows } = await sql<{ location: string }>`
    select location from unnest(${[...locations]}::text[]) as seen(location)
    where ${named('media')} or ${named('thumbnails')} or location in (
      select location from ${mmrTable(tables, 'export_parts')} where datastore_id = ${datastore}
    )`.execute(tables.db)
  return rows.map(({ location }) => location)
}

/** A row of MMR's `thumbnails`, with the content it was made of. */
export interface MmrThumbnail extends MmrName {
  readonly width: number
  readonly height: number
  readonly method: string
  readonly isAnimated: boolean
  readonly contentType: string
  readonly sha256: string
  readonly size: number
  readonly datastore: string
  readonly location: string
  readonly createdAt: number
  /** Null: the media is gone. */
  readonly sourceSha256: string | null
  readonly sourceType: string | null
}

export type MmrThumbnailKey = Pick<MmrThumbnail, 'origin' | 'mediaId' | 'width' | 'height' | 'method' | 'isAnimated'>

/** The next rows of `thumbnails`; `after` null: the first. */
export async function mmrThumbnailsPage(
  tables: MmrTables,
  { after, limit }: { readonly after: MmrThumbnailKey | null; readonly limit: number },
): Promise<MmrThumbnail[]> {
  const key = sql.raw('media_id, origin, width, height, method, animated')
  const behind = after
    ? sql`(${key}) > (${after.mediaId}, ${after.origin}, ${after.width}, ${after.height}, ${after.method}, ${after.isAnimated})`
    : sql`true`
  const { rows } = await sql<MmrThumbnail>`
    with page as materialized (
      select * from ${mmrTable(tables, 'thumbnails')} where ${behind} order by ${key} limit ${limit}
    )
    select page.origin, page.media_id as "mediaId", page.width, page.height, page.method, page.animated as "isAnimated",
      page.content_type as "contentType", lower(page.sha256_hash) as sha256, page.size_bytes as size,
      page.datastore_id as datastore, page.location, page.creation_ts as "createdAt",
      lower(source.sha256_hash) as "sourceSha256", source.content_type as "sourceType"
    from page left join lateral (
      select sha256_hash, content_type from ${mmrTable(tables, 'media')} as media
      where media.media_id = page.media_id and media.origin = page.origin limit 1
    ) as source on true
    order by page.media_id, page.origin, page.width, page.height, page.method, page.animated`.execute(tables.db)
  return rows
}

/** The next ids that never name anything again. */
export async function mmrTombstonesPage(
  tables: MmrTables,
  { after, limit }: { readonly after: MmrName | null; readonly limit: number },
): Promise<MmrName[]> {
  const { rows } = await sql<MmrName>`
    select origin, media_id as "mediaId" from ${mmrTable(tables, 'reserved_media')} as reserved
    where ${after ? sql`(media_id, origin) > (${after.mediaId}, ${after.origin})` : sql`true`}
    order by media_id, origin limit ${limit}`.execute(tables.db)
  return rows
}

export interface MmrReservation extends MmrName {
  readonly userId: string
  readonly createdAt: number
  readonly expiresAt: number
}

/** The next ids that wait for their upload and have not expired at `now` (ms since 1970). */
export async function mmrReservationsPage(
  tables: MmrTables,
  { after, limit, now }: { readonly after: MmrName | null; readonly limit: number; readonly now: number },
): Promise<MmrReservation[]> {
  const { rows } = await sql<MmrReservation>`
    select waiting.origin, waiting.media_id as "mediaId", waiting.user_id as "userId",
      waiting.expires_ts as "expiresAt", coalesce(held.held_ts, ${now}::bigint) as "createdAt"
    from ${mmrTable(tables, 'expiring_media')} as waiting
    left join ${mmrTable(tables, 'media_id_hold')} as held
      on held.origin = waiting.origin and held.media_id = waiting.media_id
    where waiting.expires_ts > ${now}
      and ${after ? sql`(waiting.media_id, waiting.origin) > (${after.mediaId}, ${after.origin})` : sql`true`}
      and not exists (
        select from ${mmrTable(tables, 'media')} as media
        where media.media_id = waiting.media_id and media.origin = waiting.origin
      )
    order by waiting.media_id, waiting.origin limit ${limit}`.execute(tables.db)
  return rows
}

/** The places of the parts of exports: few. */
export async function mmrExportPlaces(tables: MmrTables): Promise<{ datastore: string; location: string }[]> {
  const { rows } = await sql<{ datastore: string; location: string }>`
    select datastore_id as datastore, location from ${mmrTable(tables, 'export_parts')}`.execute(tables.db)
  return rows
}
