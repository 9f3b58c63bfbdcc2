import { settleObjects } from './import-objects.ts'
import { type ImportProblem, noteProblems } from './import-problems.ts'
import { quarantineAll } from './moderation.ts'
import { deleteUnusedObjects, type OfferedObject, type StoredObject } from './objects.ts'
import { noteProgress } from './progress.ts'
import { type MediaName, noteQuarantineChanges } from './quarantine-changes.ts'
import { isAnyOf, type Queryable, unit } from './query.ts'
import type { MediaKind } from './schema.ts'
import { countUsage, type UsageChange, usageChangesOf } from './usage.ts'

/** What a repository or homeserver elsewhere knows of a name. Times in ms since 1970. */
export interface ImportedName extends MediaName {
  readonly kind: Exclude<MediaKind, 'preview'>
  readonly contentType: string
  readonly uploadName: string | null
  readonly uploader: string | null
  readonly createdAt: number
  /** Null: never. */
  readonly accessedAt: number | null
  /** Only authenticated callers may have it. */
  readonly authenticated: boolean
  /** Who quarantined it; null: it is not. */
  readonly quarantinedBy: string | null
  readonly isProtected: boolean
}

/** A name whose bytes are here now. */
export interface PlacedName extends ImportedName {
  readonly object: OfferedObject
}

/** What is to be changed about a name that is here already: the homeserver went on while it was being imported. */
export interface ImportedChange extends MediaName {
  readonly sha256: string
  readonly quarantinedBy: string | null
  readonly isProtected: boolean
  readonly accessedAt: number | null
}

export interface ImportBatch {
  /** Which import: `synapse example.org`. */
  readonly source: string
  /** How far it was before this batch, and is after it; undefined before the first. */
  readonly from: string | undefined
  /** Without what only the transaction finds out. */
  readonly to: string
  /** A name that no other batch has, ever. */
  readonly batch: string
  readonly now: number
  readonly names: readonly PlacedName[]
  readonly changes: readonly ImportedChange[]
  readonly problems: readonly ImportProblem[]
}

export type ImportBatchResult =
  /** Another run has gone on from the same place. Nothing was changed. */
  | { readonly outcome: 'superseded' }
  /** Bytes that were found have been deleted meanwhile, of these contents. Nothing was changed; to be tried again. */
  | { readonly outcome: 'object_gone'; readonly sha256s: readonly string[] }
  | {
      readonly outcome: 'stored'
      /** Bytes that no record names. */
      readonly unused: readonly StoredObject[]
      /** Contents that have names which are quarantined since this batch. */
      readonly quarantined: readonly string[]
    }

/**
 * One batch of an import, with how far it is, as one transaction: a run that is killed goes on with the next batch. What is said to be
 * made in the future was made by now: exports end with the media of their beginning, and retention counts from there.
 */
export const commitImported = unit('commitImported', async (tx, args: ImportBatch): Promise<ImportBatchResult> => {
  const { source, from, to, batch, now, changes, problems } = args
  const names = args.names.map((name) => (name.createdAt > now ? { ...name, createdAt: now } : name))
  // Asked before anything is written: what is left as it is need not be undone.
  const gone = await goneContents(tx, names)
  if (gone.length > 0) return { outcome: 'object_gone', sha256s: gone }
  if (!(await noteProgress.run(tx, { chore: choreOf(source), from, to, now }))) return { outcome: 'superseded' }
  const { stored, unused } = await settleObjects(
    tx,
    names.map(({ object }) => object),
    { batch, now },
  )
  const inserted = await insertNames(tx, names, now)
  const nameless = await dropNameless(tx, names, inserted, now)
  await countNames(tx, inserted, stored, batch)
  await applyChanges(tx, changes, now)
  await noteProblems(tx, source, problems)
  const quarantined = await quarantine(tx, { inserted, changes, now })
  return { outcome: 'stored', unused: [...unused, ...nameless], quarantined }
})

/** Under which name `care_progress` has it. */
export const choreOf = (source: string) => `import ${source}`

async function goneContents(tx: Queryable, names: readonly PlacedName[]): Promise<string[]> {
  const found = [...new Set(names.filter(({ object }) => !object.fresh).map(({ object }) => object.sha256))]
  if (found.length === 0) return []
  const rows = await tx
    .selectFrom('objects')
    .select('sha256')
    .where(isAnyOf(tx, 'sha256', found))
    .execute()
  const there = new Set(rows.map(({ sha256 }) => sha256))
  const fresh = new Set(names.filter(({ object }) => object.fresh).map(({ object }) => object.sha256))
  return found.filter((sha256) => !there.has(sha256) && !fresh.has(sha256))
}

/** Gives those that had no record yet. */
async function insertNames(tx: Queryable, names: readonly PlacedName[], now: number): Promise<PlacedName[]> {
  if (names.length === 0) return []
  const rows = await tx
    .insertInto('media')
    .values(names.map((name) => rowOf(name, now)))
    .onConflict((conflict) => conflict.columns(['origin', 'media_id']).doNothing())
    .returning(['origin', 'media_id'])
    .execute()
  const inserted = new Set(rows.map(({ origin, media_id: mediaId }) => `${origin}/${mediaId}`))
  return names.filter(({ origin, mediaId }) => inserted.has(`${origin}/${mediaId}`))
}

/** Names that somebody else made meanwhile may have other content: then nothing points at what was brought. */
async function dropNameless(
  tx: Queryable,
  names: readonly PlacedName[],
  inserted: readonly PlacedName[],
  now: number,
): Promise<readonly StoredObject[]> {
  const made = new Set(inserted)
  const others = names.filter((name) => !made.has(name)).map(({ object }) => object.sha256)
  return await deleteUnusedObjects(tx, [...new Set(others)].toSorted(), now)
}

const rowOf = (name: PlacedName, now: number) => ({
  origin: name.origin,
  media_id: name.mediaId,
  sha256: name.object.sha256,
  kind: name.kind,
  content_type: name.contentType,
  upload_name: name.uploadName,
  uploader: name.uploader,
  created_at: name.createdAt,
  accessed_at: name.accessedAt,
  authenticated_at: name.authenticated ? name.createdAt : null,
  quarantined_at: name.quarantinedBy === null ? null : now,
  quarantined_by: name.quarantinedBy,
  protected_at: name.isProtected ? now : null,
  protected_by: name.isProtected ? BY : null,
})

/** Who is noted where nobody knows. */
const BY = 'import'

/** One difference a subject, however many names of it the batch has. */
async function countNames(
  tx: Queryable,
  inserted: readonly PlacedName[],
  stored: ReadonlyMap<string, StoredObject>,
  batch: string,
): Promise<void> {
  const sums = new Map<string, UsageChange>()
  for (const name of inserted) {
    const bytes = stored.get(name.object.sha256)?.size ?? name.object.size
    for (const { subject } of usageChangesOf(name, { changeId: batch, bytes, files: 1 })) {
      const sum = sums.get(subject) ?? { bytes: 0, files: 0 }
      sums.set(subject, { subject, changeId: batch, bytes: sum.bytes + bytes, files: sum.files + 1 })
    }
  }
  await countUsage(tx, [...sums.values()])
}

/** Protection, and last use, which never goes back. */
async function applyChanges(tx: Queryable, changes: readonly ImportedChange[], now: number): Promise<void> {
  for (const { origin, mediaId, isProtected, accessedAt } of changes) {
    const named = tx.updateTable('media').where('origin', '=', origin).where('media_id', '=', mediaId)
    if (isProtected) {
      await named.set({ protected_at: now, protected_by: BY }).where('protected_at', 'is', null).execute()
    }
    if (accessedAt === null) continue
    await named
      .set({ accessed_at: accessedAt })
      .where((is) => is.or([is('accessed_at', 'is', null), is('accessed_at', '<', accessedAt)]))
      .execute()
  }
}

interface Quarantining {
  readonly inserted: readonly PlacedName[]
  readonly changes: readonly ImportedChange[]
  readonly now: number
}

/**
 * Quarantine is of content: a quarantined name takes along every other one that is not protected, whichever came first, and a new name
 * of content that is quarantined here is quarantined as well. Gives the contents.
 */
async function quarantine(tx: Queryable, { inserted, changes, now }: Quarantining): Promise<string[]> {
  const own = inserted.filter(({ quarantinedBy }) => quarantinedBy !== null)
  const wanted = new Map<string, string>()
  for (const { object, quarantinedBy } of own) wanted.set(object.sha256, quarantinedBy ?? BY)
  for (const { sha256, quarantinedBy } of changes) if (quarantinedBy !== null) wanted.set(sha256, quarantinedBy)
  const others = inserted.map(({ object }) => object.sha256).filter((sha256) => !wanted.has(sha256))
  for (const sha256 of await quarantinedAmong(tx, others)) wanted.set(sha256, BY)
  for (const [by, entries] of Map.groupBy(wanted, ([, who]) => who)) {
    await quarantineAll(tx, { sha256s: entries.map(([sha256]) => sha256).toSorted(), origin: null, at: now, by })
  }
  await noteQuarantineChanges(tx, own, true)
  return [...wanted.keys()]
}

/** Those of which any name is quarantined, or was when it was deleted. */
async function quarantinedAmong(tx: Queryable, sha256s: readonly string[]): Promise<ReadonlySet<string>> {
  if (sha256s.length === 0) return new Set()
  const among = (table: 'media' | 'deleted_media') =>
    tx
      .selectFrom(table)
      .select('sha256')
      .where(isAnyOf(tx, 'sha256', sha256s))
      .where('quarantined_at', 'is not', null)
  const rows = await among('media').unionAll(among('deleted_media')).execute()
  return new Set(rows.map(({ sha256 }) => sha256))
}
