import { compiled, type Queryable, unit } from './query.ts'
import { lockObject, type ObjectState, type OfferedObject, settleObject, type StoredObject } from './objects.ts'

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
}

/** A thumbnail that is stored. Its object may be the source itself, where that is small enough. */
export interface ThumbnailRecord extends StoredObject, Partial<ObjectState> {
  readonly contentType: string
}

/** The stored thumbnail, if there is one; of several variants that would do, the best. */
export async function findThumbnail(db: Queryable, wanted: WantedThumbnail): Promise<ThumbnailRecord | undefined> {
  const found = await thumbnailsOfSize(db, wanted)
  for (const variant of [wanted.variant, ...(wanted.orElse ?? [])]) {
    const row = found.find((thumbnail) => thumbnail.variant === variant)
    if (row) return withoutVariant(row)
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
      'thumbnails.variant as variant',
    ])
    .where('thumbnails.source_sha256', '=', key.sourceSha256)
    .where('thumbnails.width', '=', key.width)
    .where('thumbnails.height', '=', key.height)
    .where('thumbnails.method', '=', key.method),
)

function withoutVariant({ variant: _, ...record }: ThumbnailRecord & { readonly variant: string }): ThumbnailRecord {
  return record
}

export interface CommittedThumbnail extends ThumbnailKey {
  readonly contentType: string
  readonly createdAt: number
  readonly object: OfferedObject
}

export type ThumbnailCommitResult =
  | { readonly outcome: 'stored'; readonly object: StoredObject }
  | { readonly outcome: 'object_gone' }
  /** The content it was made of was deleted meanwhile: nothing was kept. */
  | { readonly outcome: 'source_gone' }

/** Stores a thumbnail's object and row. A thumbnail that another instance stored first is replaced, being the same picture. */
export const commitThumbnail = unit(
  'commitThumbnail',
  async (tx, thumbnail: CommittedThumbnail): Promise<ThumbnailCommitResult> => {
    // Locked, so that a deletion of the source comes before all this or after it, and then takes the thumbnail along.
    const [source] = await lockObject(tx, { sha256: thumbnail.sourceSha256 })
    if (!source) return { outcome: 'source_gone' }
    const object = await settleObject(tx, thumbnail.object, thumbnail.createdAt)
    if (!object) return { outcome: 'object_gone' }
    const made = { sha256: object.sha256, content_type: thumbnail.contentType, created_at: thumbnail.createdAt }
    await tx
      .insertInto('thumbnails')
      .values({
        source_sha256: thumbnail.sourceSha256,
        width: thumbnail.width,
        height: thumbnail.height,
        method: thumbnail.method,
        variant: thumbnail.variant,
        ...made,
      })
      .onConflict((conflict) =>
        conflict.columns(['source_sha256', 'width', 'height', 'method', 'variant']).doUpdateSet(made),
      )
      .execute()
    return { outcome: 'stored', object }
  },
)
