import { endArchiveImport, endedImports, findArchiveImport, uploadedParts } from '../db/archive-imports.ts'
import type { Database } from '../db/connect.ts'
import type { Task } from '../db/tasks.ts'
import type { Clock } from '../lib/clock.ts'
import { IMPORT_TASK } from '../media/exports/import-order.ts'
import type { RunningTask, TaskKind } from './run-task.ts'
import type { Job } from './schedule.ts'

const DAY_MS = 24 * 3_600_000
/** An import whose next file does not come for so long is given up. */
export const PATIENCE_MS = 7 * DAY_MS

/** Only a task that somebody wrote by hand has none. */
const textOf = (value: unknown) => (typeof value === 'string' ? value : '')
export const idOf = ({ params }: Pick<Task, 'params'>) => textOf(params['import_id'])

/** How far an import is while its files come. */
export interface Coming {
  /** How many files were looked at. */
  readonly looked: number
  /** How many of the manifest's media were found in them; of files that came since all were last compared with it, how many they have. */
  readonly found: number
  /** Which of them has the manifest, counted from 1; 0: none. */
  readonly manifest: number
  /** How many files with media have to come at least before it is worth the while to compare all again. */
  readonly lacking: number
}

export const comingOf = ({ progress }: Pick<Task, 'progress'>): Coming => ({
  looked: Number(progress['looked'] ?? 0),
  found: Number(progress['found'] ?? 0),
  manifest: Number(progress['manifest'] ?? 0),
  lacking: Number(progress['lacking'] ?? 0),
})

/** Imports that wait for their next file are not worked on. Apart from the work itself, which servers load when there is some. */
export function archiveImportKind(
  { db, clock }: { readonly db: Pick<Database, 'read'>; readonly clock: Clock },
  run: (task: RunningTask) => Promise<string | undefined>,
): TaskKind {
  return {
    name: IMPORT_TASK,
    run,
    async isReady(task) {
      const found = await findArchiveImport(db.read, idOf(task))
      if (!found || found.closedAt !== null || found.touchedAt < clock.now() - PATIENCE_MS) return true
      return (await uploadedParts(db.read, idOf(task))).length > comingOf(task).looked
    },
  }
}

const BATCH = 100
const HOUR_MS = 3_600_000

/** Deletes the files of imports whose tasks have ended without them. */
export function archiveImportsJob({ db }: { readonly db: Pick<Database, 'read' | 'write'> }): Job {
  return {
    name: 'archive imports',
    everyMs: HOUR_MS,
    async run() {
      const ended = await endedImports(db.read, BATCH)
      for (const importId of ended) await db.write(endArchiveImport, importId)
      return { report: { imports: ended.length } }
    },
  }
}
