import { compiled, type Queryable, unit } from './query.ts'
import { isDeleted } from './moderation.ts'
import { deleteUnusedObject, type ObjectState, type OfferedObject, settleObject, type StoredObject } from './objects.ts'
import { deleteReservation, lockReservation, type ReservationState } from './pending.ts'
import { type Excess, excessOf, lockLimits, noteUpload, type UploadLimits, type Wanted } from './quota.ts'
import type { MediaKind } from './schema.ts'
import { countName } from './usage.ts'

/** A name of some content: what is known of an MXC URI, and where its bytes are. */
export interface MediaRecord extends ObjectState {
  readonly origin: string
  readonly mediaId: string
  readonly sha256: string
  readonly size: number
  readonly datastore: string
  readonly location: string
  readonly kind: MediaKind
  readonly contentType: string
  readonly uploadName: string | null
  readonly uploader: string | null
  readonly createdAt: number
  readonly accessedAt: number | null
  readonly authenticatedAt: number | null
  readonly quarantinedAt: number | null
}

/** The columns of a `MediaRecord`, from `media` and `objects`. */
export const RECORD = [
  'media.origin as origin',
  'media.media_id as mediaId',
  'media.sha256 as sha256',
  'objects.size as size',
  'objects.datastore as datastore',
  'objects.location as location',
  'objects.lost_at as lostAt',
  'objects.damaged_at as damagedAt',
  'media.kind as kind',
  'media.content_type as contentType',
  'media.upload_name as uploadName',
  'media.uploader as uploader',
  'media.created_at as createdAt',
  'media.accessed_at as accessedAt',
  'media.authenticated_at as authenticatedAt',
  'media.quarantined_at as quarantinedAt',
] as const

/** The record of `mxc://origin/mediaId`, if its content is here. */
export const findMedia = async (db: Queryable, origin: string, mediaId: string): Promise<MediaRecord | undefined> =>
  (await mediaByName(db, { origin, mediaId }))[0]

const mediaByName = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select(RECORD)
    .where('media.origin', '=', name.origin)
    .where('media.media_id', '=', name.mediaId),
)

/** Whether any name of this content is quarantined, or was when it was deleted: then nobody may upload it again. */
export const isBlockedContent = async (db: Queryable, sha256: string): Promise<boolean> =>
  (await blockedByHash(db, { sha256 })).length > 0

const blockedByHash = compiled((db, { sha256 }: { sha256: string }) =>
  db
    .selectFrom('media')
    .select('media_id')
    .where('sha256', '=', sha256)
    .where('quarantined_at', 'is not', null)
    .unionAll(
      db
        .selectFrom('deleted_media')
        .select('media_id')
        .where('sha256', '=', sha256)
        .where('quarantined_at', 'is not', null),
    )
    .limit(1),
)

export interface CommittedMedia {
  readonly origin: string
  readonly mediaId: string
  readonly kind: MediaKind
  readonly contentType: string
  readonly uploadName: string | null
  readonly uploader: string | null
  readonly createdAt: number
  /** Only authenticated callers may have it from now on. */
  readonly authenticated: boolean
  readonly object: OfferedObject
  /** The id was reserved by `create`: the reservation is used up in the same transaction. */
  readonly reserved: boolean
  /** What its uploader and its homeserver may keep; absent: as much as they like. */
  readonly limits?: UploadLimits | undefined
  /** When it is committed, in ms since 1970; as `createdAt`, if not given. */
  readonly committedAt?: number
}

export type CommitResult =
  | { readonly outcome: 'stored'; readonly mediaId: string; readonly object: StoredObject }
  /** The same user sent the same bytes under the same name before: the MXC URI of then is the answer. */
  | { readonly outcome: 'existing'; readonly mediaId: string; readonly object: StoredObject }
  | { readonly outcome: 'blocked' }
  /** Media of ours had this id before, and were deleted: it names nothing else, ever. */
  | { readonly outcome: 'deleted' }
  | { readonly outcome: 'object_gone' }
  | { readonly outcome: 'over_limit'; readonly excess: Excess }
  | { readonly outcome: Exclude<ReservationState, 'open'> }

/** The one short transaction of an upload: settles the object, checks what may have changed meanwhile, names the content. */
export const commitMedia = unit('commitMedia', async (tx, media: CommittedMedia): Promise<CommitResult> => {
  if (media.reserved) {
    const state = await lockReservation(tx, media)
    if (state !== 'open') return { outcome: state }
  }
  if (await isDeleted(tx, media)) return { outcome: 'deleted' }
  const excess = media.limits && (await lockedExcess(tx, media.limits, wantedBy(media)))
  if (excess) return { outcome: 'over_limit', excess }
  // Blocked content that was lost does not come back.
  if (media.object.replaces && (await isBlockedContent(tx, media.object.sha256))) return { outcome: 'blocked' }
  const object = await settleObject(tx, media.object, media.createdAt)
  if (!object) return { outcome: 'object_gone' }
  // New content may be blocked too: by names that were deleted together with their bytes.
  if (await isBlockedContent(tx, object.sha256)) {
    if (object.isNew) await deleteUnusedObject(tx, object.sha256, media.createdAt)
    return { outcome: 'blocked' }
  }
  if (!object.isNew) {
    const before = await sameUpload(tx, media)
    if (before) return { outcome: 'existing', mediaId: before.mediaId, object }
  }
  // Only now: what was refused above may be tried again with other bytes.
  if (media.reserved) await deleteReservation(tx, media)
  await insertMedia(tx, {
    ...media,
    sha256: object.sha256,
    authenticatedAt: media.authenticated ? media.createdAt : null,
  })
  await countNames(tx, media, object)
  if (media.limits) await noteUpload(tx, media.limits, { ...wantedBy(media), mediaId: media.mediaId })
  return { outcome: 'stored', mediaId: media.mediaId, object }
})

const wantedBy = ({ object, createdAt, committedAt = createdAt }: CommittedMedia): Wanted => ({
  bytes: object.size,
  at: committedAt,
})

async function lockedExcess(tx: Queryable, limits: UploadLimits, wanted: Wanted): Promise<Excess | undefined> {
  await lockLimits(tx, limits)
  return await excessOf(tx, limits, wanted)
}

const insertMedia = compiled((tx, media: CommittedMedia & { sha256: string; authenticatedAt: number | null }) =>
  tx.insertInto('media').values({
    origin: media.origin,
    media_id: media.mediaId,
    sha256: media.sha256,
    kind: media.kind,
    content_type: media.contentType,
    upload_name: media.uploadName,
    uploader: media.uploader,
    created_at: media.createdAt,
    accessed_at: media.createdAt,
    authenticated_at: media.authenticatedAt,
  }),
)

async function sameUpload(tx: Queryable, media: CommittedMedia): Promise<{ mediaId: string } | undefined> {
  const { origin, uploader, uploadName } = media
  if (media.reserved || media.kind !== 'upload' || uploader === null) return undefined
  const same = await uploadsOfContent(tx, { origin, uploader, sha256: media.object.sha256 })
  // Sorted here: asked to, SQLite would walk through all that the uploader ever sent, which is indexed by time.
  return same.toSorted((a, b) => a.createdAt - b.createdAt).find((row) => row.uploadName === uploadName)
}

const uploadsOfContent = compiled((tx, of: { origin: string; uploader: string | null; sha256: string }) =>
  tx
    .selectFrom('media')
    .select(['media_id as mediaId', 'upload_name as uploadName', 'created_at as createdAt'])
    .where('sha256', '=', of.sha256)
    .where('uploader', '=', of.uploader)
    .where('origin', '=', of.origin)
    .where('kind', '=', 'upload'),
)

function countNames(tx: Queryable, media: CommittedMedia, object: StoredObject): Promise<void> {
  // With the time: media of other servers may be deleted and fetched again before their usage is folded.
  return countName(tx, media, { changeId: `${media.mediaId} ${media.createdAt}`, bytes: object.size, files: 1 })
}

/** Notes when media were last read; `at` never moves a time back. */
export const touchMedia = unit(
  'touchMedia',
  async (tx, reads: readonly { readonly origin: string; readonly mediaId: string; readonly at: number }[]) => {
    // In one order everywhere, so that two instances cannot lock each other out.
    const inOrder = reads.toSorted((a, b) => compare(a.origin, b.origin) || compare(a.mediaId, b.mediaId))
    for (const read of inOrder) await setAccessed(tx, read)
  },
)

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const setAccessed = compiled((tx, read: { origin: string; mediaId: string; at: number }) =>
  tx
    .updateTable('media')
    .set({ accessed_at: read.at })
    .where('origin', '=', read.origin)
    .where('media_id', '=', read.mediaId)
    .where((is) => is.or([is('accessed_at', 'is', null), is('accessed_at', '<', read.at)])),
)
