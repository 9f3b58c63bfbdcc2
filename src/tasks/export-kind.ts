import type { Database } from '../db/connect.ts'
import { deleteExport, expiredExports } from '../db/exports.ts'
import { EXPORT_TASK } from '../media/exports/order.ts'
import type { RunningTask, TaskKind } from './run-task.ts'
import type { Job } from './schedule.ts'

/** Apart from the work itself, which servers load when there is some. */
export const exportKind = (run: (task: RunningTask) => Promise<string>): TaskKind => ({ name: EXPORT_TASK, run })

const HOUR_MS = 3_600_000
const BATCH = 100

/** Deletes exports whose time is over. */
export function exportsJob({ db }: { readonly db: Pick<Database, 'read' | 'write'> }): Job {
  return {
    name: 'exports',
    everyMs: HOUR_MS,
    async run({ signal }) {
      let exports = 0
      for (let batch = BATCH; batch === BATCH && !signal.aborted; exports += batch) {
        const expired = await expiredExports(db.read, BATCH)
        for (const exportId of expired) await db.write(deleteExport, { exportId })
        batch = expired.length
      }
      return { report: { exports } }
    },
  }
}
