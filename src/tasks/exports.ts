import { writeArchive } from '../archives/write.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { findExport } from '../db/exports.ts'
import { LeaseLost } from '../db/with-lease.ts'
import { isSameServer } from '../matrix/x-matrix.ts'
import { serverOfEntity } from '../media/exports/order.ts'
import { exportPlace, ExportStopped, type PlaceParts } from '../media/exports/place.ts'
import { mediaOf } from '../media/exports/source.ts'
import type { RunningTask } from './run-task.ts'

export interface ExportTaskParts extends PlaceParts {
  /** The configuration of this moment. */
  readonly config: () => Snapshot
}

/** Writes an archive part by part. A run that is broken off is gone on with behind the last part that was kept. */
export async function runExport(parts: ExportTaskParts, task: RunningTask): Promise<string> {
  const { export_id: exportId } = task.params
  if (typeof exportId !== 'string') return 'the task names no export'
  const found = await findExport(parts.db.read, exportId)
  if (!found || found.finishedAt !== null) return ''
  const { homeservers } = parts.config()
  const server = serverOfEntity(found.entity)
  const homeserver = homeservers.find(({ name }) => isSameServer(name, server)) ?? homeservers[0]
  if (!homeserver) return 'no homeserver is configured'
  const { signal, held } = task
  const place = exportPlace(parts, { exportId, held, homeserver })
  const source = (after: string | undefined) => mediaOf({ ...parts, signal }, found, after)
  const { entity, createdAt } = found
  const targetBytes = homeserver.archiving.targetBytesPerPart
  try {
    await writeArchive(place, source, { entity, createdAt, targetBytes, signal })
    return ''
  } catch (error) {
    if (!(error instanceof ExportStopped)) throw error
    if (error.why === 'lost') throw new LeaseLost(error.message, { cause: error })
    return error.why === 'deleted' ? 'the export was deleted before it was finished' : 'cancelled'
  }
}
