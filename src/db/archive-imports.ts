import { type Deed, noteDeed } from './audit.ts'
import type { JsonObject } from './json.ts'
import { isAnyOf, lockRows, type Queryable, unit } from './query.ts'
import { addTask } from './tasks.ts'
import { handOverAll, type Place } from './unused.ts'

/** An archive that is uploaded, file by file, to be imported. Times in ms since 1970. */
export interface ArchiveImport {
  readonly importId: string
  readonly taskId: number
  readonly createdAt: number
  /** When its last file came. */
  readonly touchedAt: number
  /** Null: more files may come. */
  readonly closedAt: number | null
}

export interface UploadedPart extends Place {
  readonly size: number
  readonly sha256: string
}

export interface NewImport {
  readonly importId: string
  readonly at: number
  readonly first: UploadedPart
  readonly task: { readonly name: string; readonly params: JsonObject }
  readonly audit?: Deed | undefined
}

/** Begins an import with its first file, together with the task that does it; gives the task's number. */
export const addArchiveImport = unit(
  'addArchiveImport',
  async (tx, { importId, at, first, task, audit }: NewImport): Promise<number> => {
    const { id } = await addTask.run(tx, { ...task, progress: {}, startedAt: at })
    await tx
      .insertInto('archive_imports')
      .values({ import_id: importId, task_id: id, created_at: at, touched_at: at, closed_at: null })
      .execute()
    await tx
      .insertInto('archive_import_parts')
      .values({ import_id: importId, part: 1, ...first })
      .execute()
    await noteDeed(tx, audit && { ...audit, details: { ...audit.details, task: id } }, null)
    return id
  },
)

export async function findArchiveImport(db: Queryable, importId: string): Promise<ArchiveImport | undefined> {
  return await db
    .selectFrom('archive_imports')
    .select([
      'import_id as importId',
      'task_id as taskId',
      'created_at as createdAt',
      'touched_at as touchedAt',
      'closed_at as closedAt',
    ])
    .where('import_id', '=', importId)
    .executeTakeFirst()
}

/** Its files, in the order in which they came. */
export async function uploadedParts(
  db: Queryable,
  importId: string,
): Promise<(UploadedPart & { readonly part: number })[]> {
  return await db
    .selectFrom('archive_import_parts')
    .select(['part', 'size', 'sha256', 'datastore', 'location'])
    .where('import_id', '=', importId)
    .orderBy('part')
    .execute()
}

export type AddedPart = 'added' | 'not_found' | 'closed'

/** One more file of an import. */
export const addUploadedPart = unit(
  'addUploadedPart',
  async (
    tx,
    { importId, at, file, audit }: { importId: string; at: number; file: UploadedPart; audit?: Deed | undefined },
  ): Promise<AddedPart> => {
    const open = await lockImport(tx, importId)
    if (!open) return 'not_found'
    if (open.closedAt !== null) return 'closed'
    const { last } = await tx
      .selectFrom('archive_import_parts')
      .select(({ fn }) => fn.max('part').as('last'))
      .where('import_id', '=', importId)
      .executeTakeFirstOrThrow()
    await tx
      .insertInto('archive_import_parts')
      .values({ import_id: importId, part: (last ?? 0) + 1, ...file })
      .execute()
    await tx.updateTable('archive_imports').set({ touched_at: at }).where('import_id', '=', importId).execute()
    await noteDeed(tx, audit, null)
    return 'added'
  },
)

/** Says that no more files come; gives whether there is such an import. */
export const closeArchiveImport = unit(
  'closeArchiveImport',
  async (tx, { importId, at, audit }: { importId: string; at: number; audit?: Deed | undefined }): Promise<boolean> => {
    const open = await lockImport(tx, importId)
    if (!open) return false
    await tx
      .updateTable('archive_imports')
      .set({ closed_at: open.closedAt ?? at })
      .where('import_id', '=', importId)
      .execute()
    await noteDeed(tx, audit, null)
    return true
  },
)

async function lockImport(tx: Queryable, importId: string) {
  const query = tx.selectFrom('archive_imports').select('closed_at as closedAt').where('import_id', '=', importId)
  return await lockRows(tx, query).executeTakeFirst()
}

/** Forgets an import that is done or given up; its files are handed over for deletion. */
export const endArchiveImport = unit('endArchiveImport', async (tx, importId: string): Promise<void> => {
  await tx.deleteFrom('archive_imports').where('import_id', '=', importId).execute()
  const parts = await tx
    .deleteFrom('archive_import_parts')
    .where('import_id', '=', importId)
    .returning(['datastore', 'location'])
    .execute()
  await handOverAll(tx, parts, 0)
})

/** Imports that are not any task's work any more: it ended, however that was. */
export async function endedImports(db: Queryable, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('archive_imports')
    .leftJoin('tasks', 'tasks.id', 'archive_imports.task_id')
    .select('import_id as importId')
    .where((is) => is.or([is('tasks.id', 'is', null), is('tasks.ended_at', 'is not', null)]))
    .limit(limit)
    .execute()
  return rows.map(({ importId }) => importId)
}

/** Those of `locations` that have a file of an import. */
export async function uploadedAt(db: Queryable, datastore: string, locations: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('archive_import_parts')
    .select('location')
    .where('datastore', '=', datastore)
    .where(isAnyOf(db, 'location', locations))
    .execute()
  return rows.map(({ location }) => location)
}
