import { type MediaRecord, RECORD } from './media.ts'
import { compiled, type Queryable } from './query.ts'
import type { MediaName } from './quarantine-changes.ts'
import type { MediaKind } from './schema.ts'

/** Everything that is known of a media, for those who take it elsewhere. Times in ms since 1970. */
export interface WholeMedia extends MediaRecord {
  readonly quarantinedBy: string | null
  readonly protectedAt: number | null
}

/** Up to `limit` media behind the name `after`, in the order of their names. */
export const mediaAfter = async (db: Queryable, after: MediaName, limit: number): Promise<WholeMedia[]> =>
  await pageOfMedia(db, { ...after, limit })

const pageOfMedia = compiled((db, from: { origin: string; mediaId: string; limit: number }) =>
  db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select([...RECORD, 'media.quarantined_by as quarantinedBy', 'media.protected_at as protectedAt'])
    .where((is) => is(is.refTuple('media.origin', 'media.media_id'), '>', is.tuple(from.origin, from.mediaId)))
    .orderBy('media.origin')
    .orderBy('media.media_id')
    .limit(from.limit),
)

/** How many there are. */
export const countAllMedia = async (db: Queryable): Promise<number> => (await mediaCounted(db, {}))[0]?.media ?? 0

const mediaCounted = compiled((db, _none: object) =>
  db.selectFrom('media').select((is) => is.fn.countAll<number>().as('media')),
)

/** A name that was deleted here. */
export interface DeletedName extends MediaName {
  readonly sha256: string
  readonly kind: MediaKind
  readonly deletedAt: number
  /** Null: its content is not blocked. */
  readonly quarantinedAt: number | null
  /** Null: nobody noted it. */
  readonly size: number | null
}

/** Up to `limit` deleted names behind the name `after`, in the order of their names. */
export const deletedAfter = async (db: Queryable, after: MediaName, limit: number): Promise<DeletedName[]> =>
  await pageOfDeleted(db, { ...after, limit })

const pageOfDeleted = compiled((db, from: { origin: string; mediaId: string; limit: number }) =>
  db
    .selectFrom('deleted_media')
    .select([
      'origin',
      'media_id as mediaId',
      'sha256',
      'kind',
      'deleted_at as deletedAt',
      'quarantined_at as quarantinedAt',
      'size',
    ])
    .where((is) => is(is.refTuple('origin', 'media_id'), '>', is.tuple(from.origin, from.mediaId)))
    .orderBy('origin')
    .orderBy('media_id')
    .limit(from.limit),
)
