import { type Deed, noteDeed } from './audit.ts'
import { insertExported, type ExportedMedia } from './export-media.ts'
import { databaseNow, isAnyOf, type Queryable, unit } from './query.ts'
import { addTask, type HeldTask, lockHeldTask, type Standing } from './tasks.ts'
import { handOverAll, type Place } from './unused.ts'

/** An export of all media of a user or a server. Times in ms since 1970. */
export interface Export {
  readonly exportId: string
  readonly entity: string
  readonly taskId: number
  /** Whether the archive says where buckets have the files. */
  readonly withS3Urls: boolean
  readonly createdAt: number
  /** Null: more parts come. */
  readonly finishedAt: number | null
  /** Null: never. */
  readonly expiresAt: number | null
  /** JSON: the last media that was looked at. */
  readonly after: string | null
}

/** A file of an archive, and where it is kept. */
export interface ArchivePart extends Place {
  /** From 1. */
  readonly part: number
  readonly fileName: string
  /** Bytes. */
  readonly size: number
  readonly sha256: string
}

export interface NewExport extends Pick<Export, 'exportId' | 'entity' | 'withS3Urls' | 'createdAt' | 'expiresAt'> {
  readonly task: { readonly name: string; readonly params: Readonly<Record<string, string | boolean>> }
  readonly audit?: Deed | undefined
}

/** Begins an export together with the task that makes it; gives the task's number. */
export const addExport = unit('addExport', async (tx, { audit, task, ...about }: NewExport): Promise<number> => {
  const { exportId, entity, withS3Urls, createdAt, expiresAt } = about
  const { id } = await addTask.run(tx, { ...task, progress: {}, startedAt: createdAt })
  await tx
    .insertInto('exports')
    .values({
      export_id: exportId,
      entity,
      task_id: id,
      with_s3_urls_since: withS3Urls ? createdAt : null,
      created_at: createdAt,
      expires_at: expiresAt,
      finished_at: null,
      after: null,
    })
    .execute()
  await noteDeed(tx, audit && { ...audit, details: { ...audit.details, task: id } }, null)
  return id
})

export async function findExport(db: Queryable, exportId: string): Promise<Export | undefined> {
  const row = await db.selectFrom('exports').selectAll().where('export_id', '=', exportId).executeTakeFirst()
  return (
    row && {
      exportId,
      entity: row.entity,
      taskId: row.task_id,
      withS3Urls: row.with_s3_urls_since !== null,
      createdAt: row.created_at,
      finishedAt: row.finished_at,
      expiresAt: row.expires_at,
      after: row.after,
    }
  )
}

/** Its files, in their order. */
export async function exportParts(db: Queryable, exportId: string): Promise<ArchivePart[]> {
  return await db
    .selectFrom('export_parts')
    .select(['part', 'file_name as fileName', 'size', 'sha256', 'datastore', 'location'])
    .where('export_id', '=', exportId)
    .orderBy('part')
    .execute()
}

export interface KeptPart {
  readonly held: HeldTask
  readonly exportId: string
  readonly file: ArchivePart
  readonly media: readonly ExportedMedia[]
  /** JSON: the last media that was looked at. */
  readonly after: string
}

/** What became of a file: kept, or nobody wants it any more. */
export type Kept = Standing | 'deleted'

/** Keeps a file of an archive together with what is in it and how far the export is. */
export const keepExportPart = unit('keepExportPart', async (tx, kept: KeptPart): Promise<Kept> => {
  const { held, exportId, file, media, after } = kept
  const standing = await standingOf(tx, held, exportId)
  if (standing !== 'held') return standing
  await insertPart(tx, exportId, file)
  await insertExported(tx, { exportId, part: file.part, media })
  await tx.updateTable('exports').set({ after }).where('export_id', '=', exportId).execute()
  return 'held'
})

/** Keeps the last file of an archive: the manifest. */
export const finishExport = unit(
  'finishExport',
  async (tx, { held, exportId, file, at }: Pick<KeptPart, 'held' | 'exportId' | 'file'> & { at: number }) => {
    const standing: Kept = await standingOf(tx, held, exportId)
    if (standing !== 'held') return standing
    await insertPart(tx, exportId, file)
    await tx.updateTable('exports').set({ finished_at: at }).where('export_id', '=', exportId).execute()
    return standing
  },
)

async function standingOf(tx: Queryable, held: HeldTask, exportId: string): Promise<Kept> {
  const task = await lockHeldTask(tx, held)
  if (!task) return 'lost'
  if (!(await findExport(tx, exportId))) return 'deleted'
  return task.cancelledAt === null ? 'held' : 'cancelled'
}

async function insertPart(tx: Queryable, exportId: string, { fileName, ...file }: ArchivePart): Promise<void> {
  await tx
    .insertInto('export_parts')
    .values({ export_id: exportId, file_name: fileName, ...file })
    .execute()
}

/** How long who is reading a file may go on, in ms. */
const READING_MS = 3_600_000

/**
 * Deletes an export; gives whether there was one. Its files are handed over for deletion. Its task, if it goes on, finds that it is gone.
 */
export const deleteExport = unit(
  'deleteExport',
  async (tx, { exportId, audit }: { exportId: string; audit?: Deed | undefined }): Promise<boolean> => {
    const gone = await tx.deleteFrom('exports').where('export_id', '=', exportId).returning('export_id').execute()
    const parts = await tx
      .deleteFrom('export_parts')
      .where('export_id', '=', exportId)
      .returning(['datastore', 'location'])
      .execute()
    await tx.deleteFrom('export_media').where('export_id', '=', exportId).execute()
    await handOverAll(tx, parts, READING_MS)
    if (gone.length > 0) await noteDeed(tx, audit, 1)
    return gone.length > 0
  },
)

/** Exports whose time is over. */
export async function expiredExports(db: Queryable, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('exports')
    .select('export_id as exportId')
    .where('expires_at', '<=', databaseNow(db))
    .orderBy('expires_at')
    .limit(limit)
    .execute()
  return rows.map(({ exportId }) => exportId)
}

/** Those of `locations` that have a file of an export. */
export async function exportedAt(db: Queryable, datastore: string, locations: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('export_parts')
    .select('location')
    .where('datastore', '=', datastore)
    .where(isAnyOf(db, 'location', locations))
    .execute()
  return rows.map(({ location }) => location)
}
