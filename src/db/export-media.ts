import type { MediaName } from './quarantine-changes.ts'
import { given, isAnyOf, type Queryable } from './query.ts'
import type { MediaKind } from './schema.ts'
import type { StoredObject } from './objects.ts'

/** A media in an export, or one that was left out of it. Times in ms since 1970. */
export interface ExportedMedia extends MediaName {
  readonly sha256: string
  readonly size: number
  readonly contentType: string
  readonly name: string
  readonly uploader: string
  readonly createdAt: number
  readonly s3Url: string
  /** Empty: it was left out. */
  readonly fileName: string
  /** Why it was left out; empty: it was not. */
  readonly leftOut: string
}

export interface NumberedMedia extends ExportedMedia {
  readonly number: number
}

/** A media with all that an export says of it. */
export interface ExportableMedia extends MediaName {
  readonly kind: MediaKind
  readonly contentType: string
  readonly uploadName: string | null
  readonly uploader: string | null
  readonly createdAt: number
  readonly isQuarantined: boolean
  readonly isLost: boolean
  readonly object: StoredObject
}

/** What is to be exported of some hundred names, of few servers; in no order. */
export async function exportableMedia(db: Queryable, names: readonly MediaName[]): Promise<ExportableMedia[]> {
  const byOrigin = Map.groupBy(names, ({ origin }) => origin)
  const found = [...byOrigin].map(([origin, some]) =>
    ofOrigin(
      db,
      origin,
      some.map(({ mediaId }) => mediaId),
    ),
  )
  return (await Promise.all(found)).flat()
}

async function ofOrigin(db: Queryable, origin: string, mediaIds: readonly string[]): Promise<ExportableMedia[]> {
  const rows = await db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select([
      'media.media_id as mediaId',
      'media.kind as kind',
      'media.content_type as contentType',
      'media.upload_name as uploadName',
      'media.uploader as uploader',
      'media.created_at as createdAt',
      'media.quarantined_at as quarantinedAt',
      'objects.lost_at as lostAt',
      'objects.sha256 as sha256',
      'objects.size as size',
      'objects.datastore as datastore',
      'objects.location as location',
    ])
    .where('media.origin', '=', origin)
    .where(isAnyOf(db, 'media.media_id', mediaIds))
    .execute()
  return rows.map(({ quarantinedAt, lostAt, sha256, size, datastore, location, ...row }) => ({
    ...row,
    origin,
    isQuarantined: quarantinedAt !== null,
    isLost: lostAt !== null,
    object: { sha256, size, datastore, location },
  }))
}

const COLUMNS = {
  number: 'bigint',
  origin: 'text',
  media_id: 'text',
  sha256: 'text',
  size: 'bigint',
  content_type: 'text',
  name: 'text',
  uploader: 'text',
  created_at: 'bigint',
  s3_url: 'text',
  file_name: 'text',
  left_out: 'text',
} as const

const AT_ONCE = 1000

/** Writes down what is in a part, behind what is in those before. */
export async function insertExported(
  tx: Queryable,
  { exportId, part, media }: { exportId: string; part: number; media: readonly ExportedMedia[] },
): Promise<void> {
  const { last } = await tx
    .selectFrom('export_media')
    .select(({ fn }) => fn.max('number').as('last'))
    .where('export_id', '=', exportId)
    .executeTakeFirstOrThrow()
  for (let from = 0; from < media.length; from += AT_ONCE) {
    const rows = media.slice(from, from + AT_ONCE).map((one, index) => ({
      number: (last ?? 0) + from + index + 1,
      origin: one.origin,
      media_id: one.mediaId,
      sha256: one.sha256,
      size: one.size,
      content_type: one.contentType,
      name: one.name,
      uploader: one.uploader,
      created_at: one.createdAt,
      s3_url: one.s3Url,
      file_name: one.fileName,
      left_out: one.leftOut,
    }))
    const columns = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]
    await tx
      .insertInto('export_media')
      .columns(['export_id', 'part', ...columns])
      .expression((of) =>
        of
          .selectFrom(given(tx, rows, COLUMNS).as('row'))
          .select((is) => [is.val(exportId).as('export_id'), is.val(part).as('part')])
          .select(columns),
      )
      .execute()
  }
}

export interface MediaPage {
  readonly exportId: string
  /** The number of the last one of the page before; 0: none. */
  readonly after: number
  readonly limit: number
}

/** What an export holds, and what was left out, in its order. */
export async function exportedMedia(db: Queryable, { exportId, after, limit }: MediaPage): Promise<NumberedMedia[]> {
  return await db
    .selectFrom('export_media')
    .select([
      'number',
      'origin',
      'media_id as mediaId',
      'sha256',
      'size',
      'content_type as contentType',
      'name',
      'uploader',
      'created_at as createdAt',
      's3_url as s3Url',
      'file_name as fileName',
      'left_out as leftOut',
    ])
    .where('export_id', '=', exportId)
    .where('number', '>', after)
    .orderBy('number')
    .limit(limit)
    .execute()
}

/** How many media an export holds, and how many were left out for which reason: by `left_out`, which is '' for those that it holds. */
export async function countExported(db: Queryable, exportId: string): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('export_media')
    .select(['left_out as leftOut'])
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('export_id', '=', exportId)
    .groupBy('left_out')
    .execute()
  return new Map(rows.map(({ leftOut, count }) => [leftOut, count]))
}

/** Whether a part of an export holds something that is quarantined by now, or was when it was deleted. */
export async function isQuarantinedPart(db: Queryable, exportId: string, part: number): Promise<boolean> {
  const found = await quarantinedIn(db, exportId)
    .select('export_media.number')
    .where('export_media.part', '=', part)
    .limit(1)
    .executeTakeFirst()
  return found !== undefined
}

/** Those of some media of an export that are quarantined by now, or were when they were deleted: their numbers. */
export async function quarantinedNumbers(
  db: Queryable,
  exportId: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<ReadonlySet<number>> {
  const rows = await quarantinedIn(db, exportId)
    .select('export_media.number as number')
    .where('export_media.number', '>=', from)
    .where('export_media.number', '<=', to)
    .execute()
  return new Set(rows.map(({ number }) => number))
}

const quarantinedIn = (db: Queryable, exportId: string) =>
  db
    .selectFrom('export_media')
    .where('export_media.export_id', '=', exportId)
    .where('export_media.file_name', '!=', '')
    .where((is) =>
      is.or([
        is.exists(
          is
            .selectFrom('media')
            .select('media.sha256')
            .whereRef('media.origin', '=', 'export_media.origin')
            .whereRef('media.media_id', '=', 'export_media.media_id')
            .where('media.quarantined_at', 'is not', null),
        ),
        is.exists(
          is
            .selectFrom('deleted_media')
            .select('deleted_media.sha256')
            .whereRef('deleted_media.origin', '=', 'export_media.origin')
            .whereRef('deleted_media.media_id', '=', 'export_media.media_id')
            .where('deleted_media.quarantined_at', 'is not', null),
        ),
      ]),
    )
