import { type Deed, noteDeed } from './audit.ts'
import { lockObjects } from './objects.ts'
import { noteQuarantineChanges } from './quarantine-changes.ts'
import { compiled, isAnyOf, isPostgres, type Queryable, unit } from './query.ts'

/** Names of one content: all of them, or those of one server. */
export interface NamesOfContent {
  readonly sha256: string
  /** Null: every server's. */
  readonly origin: string | null
}

/** The same of several contents. */
export interface NamesOfContents {
  readonly sha256s: readonly string[]
  readonly origin: string | null
}

/** What writes its own line of the audit log. */
interface Audited {
  readonly audit?: Deed | undefined
}

interface Quarantining {
  readonly at: number
  /** Who decided; null: nobody knows. */
  readonly by?: string | null
}

/**
 * Quarantines the names of some content that are not yet, and gives how many; those that are protected stay as they are. Uploads
 * of the same bytes are refused from then on, whoever sends them.
 */
export const quarantineContent = unit(
  'quarantineContent',
  async (tx, { sha256, audit, ...how }: NamesOfContent & Quarantining & Audited): Promise<number> => {
    const names = await quarantineAll(tx, { sha256s: [sha256], ...how })
    await noteDeed(tx, audit, names)
    return names
  },
)

/** The same for several contents, inside a transaction. */
export async function quarantineAll(
  tx: Queryable,
  { sha256s, origin, at, by = null }: NamesOfContents & Quarantining,
): Promise<number> {
  if (sha256s.length === 0) return 0
  // Uploads of the same bytes come before this, and are found, or after it, and are refused.
  await lockObjects(tx, sha256s)
  await lockNamesOf(tx, sha256s)
  const names = await tx
    .updateTable('media')
    .set({ quarantined_at: at, quarantined_by: by })
    .where(isAnyOf(tx, 'sha256', sha256s))
    .where('quarantined_at', 'is', null)
    .where('protected_at', 'is', null)
    .$if(origin !== null, (query) => query.where('origin', '=', origin))
    .returning(['origin', 'media_id as mediaId'])
    .execute()
  // Names that are gone block the content as well.
  await tx
    .updateTable('deleted_media')
    .set({ quarantined_at: at })
    .where(isAnyOf(tx, 'sha256', sha256s))
    .where('quarantined_at', 'is', null)
    .$if(origin !== null, (query) => query.where('origin', '=', origin))
    .execute()
  await noteQuarantineChanges(tx, names, true)
  return names.length
}

/** In the order in which reads are noted (`touchMedia`), or the two could lock each other out. */
async function lockNamesOf(tx: Queryable, sha256s: readonly string[]): Promise<void> {
  if (!isPostgres(tx)) return
  const names = tx
    .selectFrom('media')
    .select('media_id')
    .where(isAnyOf(tx, 'sha256', sha256s))
  await names.orderBy('origin').orderBy('media_id').forUpdate().execute()
}

/** Ends the quarantine of every name of some content, and gives how many there are. Its bytes may be uploaded again. */
export const releaseContent = unit(
  'releaseContent',
  async (tx, { sha256, audit }: Audited & { sha256: string }): Promise<number> => {
    const names = await releaseAll(tx, [sha256])
    await noteDeed(tx, audit, names)
    return names
  },
)

/** The same for several contents, inside a transaction. */
export async function releaseAll(tx: Queryable, sha256s: readonly string[]): Promise<number> {
  if (sha256s.length === 0) return 0
  await lockObjects(tx, sha256s)
  await lockNamesOf(tx, sha256s)
  const names = await tx
    .updateTable('media')
    .set({ quarantined_at: null, quarantined_by: null })
    .where(isAnyOf(tx, 'sha256', sha256s))
    .where('quarantined_at', 'is not', null)
    .returning(['origin', 'media_id as mediaId'])
    .execute()
  await tx
    .updateTable('deleted_media')
    .set({ quarantined_at: null })
    .where(isAnyOf(tx, 'sha256', sha256s))
    .execute()
  await noteQuarantineChanges(tx, names, false)
  return names.length
}

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

const contentOf = compiled((tx, name: { origin: string; mediaId: string }) =>
  tx.selectFrom('media').select('sha256').where('origin', '=', name.origin).where('media_id', '=', name.mediaId),
)

const deletedContentOf = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('deleted_media')
    .select('sha256')
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId),
)
