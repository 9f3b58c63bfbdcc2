import { type Deed, noteDeed } from './audit.ts'
import { deleteUnusedObject, lockObject, type StoredObject } from './objects.ts'
import { compiled, type Queryable, unit } from './query.ts'
import { deleteThumbnailsOf } from './thumbnails.ts'
import { countName } from './usage.ts'

/** Names of one content: all of them, or those of one server. */
export interface NamesOfContent {
  readonly sha256: string
  /** Null: every server's. */
  readonly origin: string | null
}

/** What writes its own line of the audit log. */
interface Audited {
  readonly audit?: Deed | undefined
}

/**
 * Quarantines the names of some content that are not yet, and gives how many. Uploads of the same bytes are refused from then
 * on, whoever sends them.
 */
export const quarantineContent = unit(
  'quarantineContent',
  async (tx, { sha256, origin, at, audit }: NamesOfContent & Audited & { readonly at: number }): Promise<number> => {
    // Uploads of the same bytes come before this, and are found, or after it, and are refused.
    await lockObject(tx, { sha256 })
    const result = await tx
      .updateTable('media')
      .set({ quarantined_at: at })
      .where('sha256', '=', sha256)
      .where('quarantined_at', 'is', null)
      .$if(origin !== null, (query) => query.where('origin', '=', origin))
      .executeTakeFirst()
    // Names that are gone block the content as well.
    await tx
      .updateTable('deleted_media')
      .set({ quarantined_at: at })
      .where('sha256', '=', sha256)
      .where('quarantined_at', 'is', null)
      .$if(origin !== null, (query) => query.where('origin', '=', origin))
      .execute()
    const names = Number(result.numUpdatedRows)
    await noteDeed(tx, audit, names)
    return names
  },
)

/** Ends the quarantine of every name of some content, and gives how many there are. Its bytes may be uploaded again. */
export const releaseContent = unit(
  'releaseContent',
  async (tx, { sha256, audit }: Audited & { sha256: string }): Promise<number> => {
    await lockObject(tx, { sha256 })
    const result = await tx
      .updateTable('media')
      .set({ quarantined_at: null })
      .where('sha256', '=', sha256)
      .where('quarantined_at', 'is not', null)
      .executeTakeFirst()
    await tx.updateTable('deleted_media').set({ quarantined_at: null }).where('sha256', '=', sha256).execute()
    const names = Number(result.numUpdatedRows)
    await noteDeed(tx, audit, names)
    return names
  },
)

export type DeleteResult =
  | { readonly outcome: 'not_found' }
  /** `unused` objects have no row any more: their bytes may be deleted now that this is committed. */
  | { readonly outcome: 'deleted'; readonly sha256: string; readonly unused: readonly StoredObject[] }

/**
 * Deletes a name, and with the last name of some content its thumbnails and whatever objects nothing refers to any more. An id
 * of ours stays taken, and blocked content stays blocked.
 */
export const deleteMedia = unit(
  'deleteMedia',
  async (tx, name: Audited & { origin: string; mediaId: string; at: number }): Promise<DeleteResult> => {
    const { origin, mediaId, at, audit } = name
    const [named] = await contentOf(tx, { origin, mediaId })
    if (!named) return { outcome: 'not_found' }
    const { sha256 } = named
    // The content first, as uploads do it, so that neither waits for the other for ever.
    const [object] = await lockObject(tx, { sha256 })
    const [deleted] = await deleteName(tx, { origin, mediaId })
    if (!deleted || !object) return { outcome: 'not_found' }
    const { kind, uploader, createdAt, quarantinedAt } = deleted
    // Pictures of previews come and go, and nobody but those previews names them.
    if (kind === 'upload' || quarantinedAt !== null) {
      await remember(tx, { origin, mediaId, sha256, size: object.size, kind, at, quarantinedAt })
    }
    await countName(
      tx,
      { origin, kind, uploader, createdAt },
      { changeId: `${mediaId} deleted ${at}`, bytes: -object.size, files: -1 },
    )
    const unused = await deleteUnused(tx, sha256, at)
    await noteDeed(tx, audit, 1)
    return { outcome: 'deleted', sha256, unused }
  },
)

const contentOf = compiled((tx, name: { origin: string; mediaId: string }) =>
  tx.selectFrom('media').select('sha256').where('origin', '=', name.origin).where('media_id', '=', name.mediaId),
)

const deleteName = compiled((tx, name: { origin: string; mediaId: string }) =>
  tx
    .deleteFrom('media')
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId)
    .returning(['kind', 'uploader', 'created_at as createdAt', 'quarantined_at as quarantinedAt']),
)

interface DeletedName {
  readonly origin: string
  readonly mediaId: string
  readonly sha256: string
  readonly size: number
  readonly kind: 'upload' | 'remote' | 'preview'
  readonly at: number
  readonly quarantinedAt: number | null
}

/** Media of other servers may have been deleted, fetched again and deleted again. */
async function remember(tx: Queryable, name: DeletedName): Promise<void> {
  const { sha256, size, kind, at, quarantinedAt } = name
  const what = { sha256, size, kind, deleted_at: at, quarantined_at: quarantinedAt }
  await tx
    .insertInto('deleted_media')
    .values({ origin: name.origin, media_id: name.mediaId, ...what })
    .onConflict((conflict) => conflict.columns(['origin', 'media_id']).doUpdateSet(what))
    .execute()
}

async function deleteUnused(tx: Queryable, sha256: string, at: number): Promise<StoredObject[]> {
  if ((await anyName(tx, { sha256 })).length > 0) return []
  const thumbnails = await deleteThumbnailsOf(tx, [sha256], at)
  const unused: StoredObject[] = []
  // In one order everywhere, so that two deletions cannot lock each other out.
  for (const each of new Set([sha256, ...thumbnails.toSorted()])) {
    const object = await deleteUnusedObject(tx, each, at)
    if (object) unused.push(object)
  }
  return unused
}

const anyName = compiled((tx, { sha256 }: { sha256: string }) =>
  tx.selectFrom('media').select('media_id').where('sha256', '=', sha256).limit(1),
)

/** Whether media of ours had this name and were deleted: their ids never come back. */
export const isDeleted = async (
  db: Queryable,
  { origin, mediaId }: { readonly origin: string; readonly mediaId: string },
): Promise<boolean> => (await deletedName(db, { origin, mediaId })).length > 0

const deletedName = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('deleted_media')
    .select('media_id')
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId)
    .where('kind', '!=', 'remote'),
)

/** The content of a name, also of one of ours that was deleted. */
export const findContent = async (
  db: Queryable,
  { origin, mediaId }: { readonly origin: string; readonly mediaId: string },
): Promise<string | undefined> => {
  const [named] = await contentOf(db, { origin, mediaId })
  return (named ?? (await deletedContentOf(db, { origin, mediaId }))[0])?.sha256
}

const deletedContentOf = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('deleted_media')
    .select('sha256')
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId),
)
