import { type Deed, noteDeed } from './audit.ts'
import { type RawBuilder, sql } from '#kysely'
import { deleteUnusedObjects, lockObjects, type StoredObject } from './objects.ts'
import { isAnyOf, lockRows, type Queryable, unit } from './query.ts'
import type { MediaKind } from './schema.ts'
import { deleteThumbnailsOf } from './thumbnails.ts'
import { countUsage, usageChangesOf } from './usage.ts'

export interface Name {
  readonly origin: string
  readonly mediaId: string
}

/** What decides whether a name may be deleted. */
export interface NamedMedia extends Name {
  readonly sha256: string
  readonly kind: MediaKind
  readonly uploader: string | null
  readonly contentType: string
  /** In ms since 1970. */
  readonly createdAt: number
  /** When it was last used, or else made, in ms since 1970. */
  readonly usedAt: number
  readonly quarantinedAt: number | null
  readonly protectedAt: number | null
}

/** Which of the names that are asked for are deleted. Looked at in the transaction itself: much may have changed since they were found. */
export interface DeletionRules {
  /** Also protected ones. */
  readonly evenProtected?: boolean
  /** Not those that were used then or later, in ms since 1970. */
  readonly unusedSince?: number | null
  /** Not those that were made then or later. */
  readonly madeSince?: number | null
  /** Only quarantined ones (true), or only others (false). */
  readonly quarantined?: boolean
  /** Only those of a server, or that a user uploaded; null: all. */
  readonly within?: { readonly origin: string | null; readonly uploader: string | null } | null
}

/** Whether the rules let a name be deleted. */
export function mayGo(media: NamedMedia, rules: DeletionRules): boolean {
  const { evenProtected, unusedSince, madeSince, quarantined, within } = rules
  if (!evenProtected && media.protectedAt !== null) return false
  if (quarantined !== undefined && quarantined !== (media.quarantinedAt !== null)) return false
  if (typeof unusedSince === 'number' && media.usedAt >= unusedSince) return false
  if (typeof madeSince === 'number' && media.createdAt >= madeSince) return false
  if (!within) return true
  return media.origin === within.origin || (within.uploader !== null && media.uploader === within.uploader)
}

/** What is known of those of the names that there are, with the bytes of their content. */
export async function describeNames(
  db: Queryable,
  names: readonly Name[],
): Promise<(NamedMedia & { readonly size: number })[]> {
  if (names.length === 0) return []
  return await selectNamed(db, names)
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select('objects.size as size')
    .execute()
}

export interface DeletedNames {
  /** How many of the names there were. */
  readonly found: number
  readonly deleted: readonly Name[]
  /** Of their content, each name counted. */
  readonly bytes: number
  /** Their contents. */
  readonly sha256s: readonly string[]
  /** These have no row any more: their bytes may be deleted now that this is committed. */
  readonly unused: readonly StoredObject[]
}

const NOTHING: DeletedNames = { found: 0, deleted: [], bytes: 0, sha256s: [], unused: [] }

/**
 * Deletes names, some hundred at most, and with the last name of some content its thumbnails and whatever objects nothing refers
 * to any more. Ids of ours stay taken, and blocked content stays blocked.
 */
export const deleteNames = unit(
  'deleteNames',
  async (
    tx,
    { names, rules, at }: { readonly names: readonly Name[]; readonly rules: DeletionRules; readonly at: number },
  ): Promise<DeletedNames> => await deleteAll(tx, names, (media) => mayGo(media, rules), at),
)

export type DeleteResult =
  | { readonly outcome: 'not_found' }
  /** It stays for as long as it is protected. */
  | { readonly outcome: 'protected' }
  | { readonly outcome: 'deleted'; readonly sha256: string; readonly unused: readonly StoredObject[] }

/** The same for one name. */
export const deleteMedia = unit(
  'deleteMedia',
  async (
    tx,
    { at, evenProtected, audit, ...name }: Name & { at: number; evenProtected?: boolean; audit?: Deed | undefined },
  ): Promise<DeleteResult> => {
    let isKept = false
    const { sha256s, unused } = await deleteAll(
      tx,
      [name],
      (media) => {
        isKept = !mayGo(media, { evenProtected: evenProtected ?? false })
        return !isKept
      },
      at,
    )
    if (isKept) return { outcome: 'protected' }
    const [sha256] = sha256s
    if (sha256 === undefined) return { outcome: 'not_found' }
    await noteDeed(tx, audit, 1)
    return { outcome: 'deleted', sha256, unused }
  },
)

async function deleteAll(
  tx: Queryable,
  names: readonly Name[],
  isMeant: (media: NamedMedia) => boolean,
  at: number,
): Promise<DeletedNames> {
  if (names.length === 0) return NOTHING
  const found = await selectNamed(tx, names).execute()
  // The contents first, as uploads do it, so that neither waits for the other for ever.
  const objects = await lockObjects(tx, distinct(found.map(({ sha256 }) => sha256)))
  const sizes = new Map(objects.map(({ sha256, size }) => [sha256, size]))
  // In the order in which reads are noted. Other servers' media may have other content by now: that is not locked.
  const locked = await lockRows(tx, selectNamed(tx, names).orderBy('origin').orderBy('media_id')).execute()
  const doomed = locked.flatMap((media) => {
    const size = sizes.get(media.sha256)
    return size !== undefined && isMeant(media) ? [{ ...media, size }] : []
  })
  if (doomed.length === 0) return { ...NOTHING, found: locked.length }
  await tx.deleteFrom('media').where(isOneOf(tx, doomed)).execute()
  // Pictures of previews come and go, and nobody but those previews names them.
  await remember(
    tx,
    doomed.filter(({ kind, quarantinedAt }) => kind === 'upload' || quarantinedAt !== null),
    at,
  )
  await countGone(tx, doomed, at)
  const sha256s = distinct(doomed.map(({ sha256 }) => sha256))
  return {
    found: locked.length,
    deleted: doomed.map(({ origin, mediaId }) => ({ origin, mediaId })),
    bytes: doomed.reduce((sum, { size }) => sum + size, 0),
    sha256s,
    unused: await deleteUnused(tx, sha256s, at),
  }
}

const distinct = (texts: readonly string[]) => [...new Set(texts)].toSorted()

export const selectNamed = (db: Queryable, names: readonly Name[]) =>
  db
    .selectFrom('media')
    .select([
      'media.origin as origin',
      'media.media_id as mediaId',
      'media.sha256 as sha256',
      'media.kind as kind',
      'media.uploader as uploader',
      'media.content_type as contentType',
      'media.created_at as createdAt',
      sql<number>`coalesce(media.accessed_at, media.created_at)`.as('usedAt'),
      'media.quarantined_at as quarantinedAt',
      'media.protected_at as protectedAt',
    ])
    .where(isOneOf(db, names))

/**
 * Each server's with the ids of its own: a stretch of the key's index for each. As a table of values PostgreSQL takes them for a reason
 * to read all of a table that is not large.
 */
function isOneOf(db: Queryable, names: readonly Name[]): RawBuilder<boolean> {
  const byOrigin = Map.groupBy(names, ({ origin }) => origin)
  const each = Array.from(byOrigin, ([origin, same]) => {
    const ids = same.map(({ mediaId }) => mediaId)
    return sql<boolean>`(origin = ${origin} and ${isAnyOf(db, 'media_id', ids)})`
  })
  return sql<boolean>`(${sql.join(each, sql` or `)})`
}

type DoomedMedia = NamedMedia & { readonly size: number }

/** Media of other servers may have been deleted, fetched again and deleted again. */
async function remember(tx: Queryable, gone: readonly DoomedMedia[], at: number): Promise<void> {
  if (gone.length === 0) return
  await tx
    .insertInto('deleted_media')
    .values(
      gone.map(({ origin, mediaId, sha256, size, kind, quarantinedAt }) => {
        return { origin, media_id: mediaId, sha256, size, kind, deleted_at: at, quarantined_at: quarantinedAt }
      }),
    )
    .onConflict((conflict) =>
      conflict.columns(['origin', 'media_id']).doUpdateSet((row) => ({
        sha256: row.ref('excluded.sha256'),
        size: row.ref('excluded.size'),
        kind: row.ref('excluded.kind'),
        deleted_at: row.ref('excluded.deleted_at'),
        quarantined_at: row.ref('excluded.quarantined_at'),
      })),
    )
    .execute()
}

/** One difference for each subject, however many names. */
async function countGone(tx: Queryable, gone: readonly DoomedMedia[], at: number): Promise<void> {
  const changes = gone.flatMap((media) =>
    usageChangesOf(media, { changeId: `${media.mediaId} deleted ${at}`, bytes: -media.size, files: -1 }),
  )
  for (const [subject, [first, ...others]] of Map.groupBy(changes, (change) => change.subject)) {
    if (!first) continue
    const bytes = others.reduce((sum, change) => sum + change.bytes, first.bytes)
    await countUsage(tx, [{ subject, changeId: first.changeId, bytes, files: first.files - others.length }])
  }
}

async function deleteUnused(tx: Queryable, sha256s: readonly string[], at: number): Promise<StoredObject[]> {
  const named = await tx
    .selectFrom('media')
    .select('sha256')
    .distinct()
    .where(isAnyOf(tx, 'sha256', sha256s))
    .execute()
  const stillNamed = new Set(named.map(({ sha256 }) => sha256))
  const nameless = sha256s.filter((sha256) => !stillNamed.has(sha256))
  if (nameless.length === 0) return []
  const thumbnails = await deleteThumbnailsOf(tx, nameless, at)
  return await deleteUnusedObjects(tx, distinct([...nameless, ...thumbnails]), at)
}

/** The contents of those of the names that were deleted. */
export async function deletedContents(db: Queryable, names: readonly Name[]): Promise<string[]> {
  if (names.length === 0) return []
  const found = await db.selectFrom('deleted_media').select('sha256').where(isOneOf(db, names)).execute()
  return found.map(({ sha256 }) => sha256)
}
