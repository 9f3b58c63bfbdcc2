import { holdsLease, type Lease } from './leases.ts'
import { commitMedia, type CommitResult, type CommittedMedia, findMedia, isBlockedContent } from './media.ts'
import { settleObject, type StoredObject } from './objects.ts'
import { compiled, type Queryable, unit } from './query.ts'

/** A file of another server, received whole, and the lease under which it was fetched, if others could have had it. */
export interface FetchedMedia extends Omit<CommittedMedia, 'kind' | 'uploader' | 'reserved'> {
  readonly lease: Lease | undefined
}

export type FetchedResult =
  | Exclude<CommitResult, { readonly outcome: 'existing' }>
  /** Somebody had recorded the name meanwhile, with the same content: that record stands, and its bytes are here. */
  | { readonly outcome: 'known'; readonly object: StoredObject }
  /** The name is recorded with other content: its origin sends something else now, and the record stays as it is. */
  | { readonly outcome: 'other_content'; readonly sha256: string }
  /** Another instance fetches the file now. */
  | { readonly outcome: 'lease_lost' }

/**
 * The one short transaction of a fetch: names what came, as an upload does. A name that has a record already keeps it; its
 * bytes, where they were lost, are those that came.
 */
export const commitFetched = unit('commitFetched', async (tx, media: FetchedMedia): Promise<FetchedResult> => {
  const { lease, ...fetched } = media
  if (lease && !(await holdsLease(tx, lease))) return { outcome: 'lease_lost' }
  const known = await findMedia(tx, media.origin, media.mediaId)
  if (known) return await healKnown(tx, known.sha256, media)
  const result = await commitMedia.run(tx, { ...fetched, kind: 'remote', uploader: null, reserved: false })
  if (result.outcome === 'existing') throw new Error('only uploads are told apart by their uploader')
  return result
})

async function healKnown(tx: Queryable, sha256: string, media: FetchedMedia): Promise<FetchedResult> {
  const { object, createdAt } = media
  if (object.sha256 !== sha256) return { outcome: 'other_content', sha256 }
  // As with uploads: blocked content that was lost does not come back, not for its other names either.
  if (await isBlockedContent(tx, sha256)) return { outcome: 'blocked' }
  const settled = await settleObject(tx, object, createdAt)
  return settled ? { outcome: 'known', object: settled } : { outcome: 'object_gone' }
}

/** Between which sizes a file is, in bytes, both included. */
export interface SizeRange {
  readonly atLeast: number
  readonly atMost: number
}

/**
 * Whether a file can be blocked content, as far as its size tells (undefined: nothing is known of it). To be asked before its
 * first byte is passed on; what it is shows at its end.
 */
export async function canBeBlocked(db: Queryable, sizes: SizeRange | undefined): Promise<boolean> {
  // Most servers have blocked nothing, and some have many files of one size.
  if ((await anyBlocked(db, {})).length === 0) return false
  return !sizes || (await blockedBetween(db, sizes)).length > 0
}

const anyBlocked = compiled((db) =>
  db
    .selectFrom('media')
    .select('media_id')
    .where('quarantined_at', 'is not', null)
    .unionAll(db.selectFrom('deleted_media').select('media_id').where('quarantined_at', 'is not', null))
    .limit(1),
)

const blockedBetween = compiled((db, { atLeast, atMost }: SizeRange) =>
  db
    .selectFrom('objects')
    .innerJoin('media', 'media.sha256', 'objects.sha256')
    .select('media.media_id')
    .where('objects.size', '>=', atLeast)
    .where('objects.size', '<=', atMost)
    .where('media.quarantined_at', 'is not', null)
    .unionAll(
      db
        .selectFrom('deleted_media')
        .select('media_id')
        .where('quarantined_at', 'is not', null)
        .where((is) => is.or([is('size', 'is', null), is.and([is('size', '>=', atLeast), is('size', '<=', atMost)])])),
    )
    .limit(1),
)

/** Whether a name was quarantined when it was deleted: then nobody need ask its origin for it. */
export const isBlockedName = async (
  db: Queryable,
  { origin, mediaId }: { readonly origin: string; readonly mediaId: string },
): Promise<boolean> => (await blockedName(db, { origin, mediaId })).length > 0

const blockedName = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('deleted_media')
    .select('media_id')
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId)
    .where('quarantined_at', 'is not', null),
)
