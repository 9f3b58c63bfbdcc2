import { Refused } from '../lib/errors.ts'
import { BULK_TASKS, type BulkRequestParts, goOnWithTask } from '../media/bulk-request.ts'
import type { RunningTask, TaskKind } from './run-task.ts'

/** What goes on with purges, quarantines and releases that took longer than their requests. */
export function bulkKinds(parts: BulkRequestParts): readonly TaskKind[] {
  return Object.values(BULK_TASKS).map((name) => ({ name, run: (task) => run(parts, task) }))
}

async function run(parts: BulkRequestParts, task: RunningTask): Promise<string> {
  try {
    await goOnWithTask(parts, task, task)
    return ''
  } catch (error) {
    // To the runner a refusal is final; that other instances could not be told is not.
    if (error instanceof Refused) throw new Error(error.message, { cause: error })
    throw error
  }
}
