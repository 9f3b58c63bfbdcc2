import type { Notifier } from '../coordination/notifier.ts'
import type { Actor } from '../db/audit.ts'
import { cancelTask, findTask, retryTask } from '../db/tasks.ts'
import type { Database } from '../db/connect.ts'
import { Refused } from '../lib/errors.ts'
import { auditedWrite, type AuditParts } from './audit.ts'

export interface TaskOrderParts extends AuditParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'notify'>
}

/**
 * Has a task end where it is, on whichever instance it runs; gives whether it was still to end.
 *
 * @throws {Refused} `not_found`
 */
export async function orderCancel(parts: TaskOrderParts, actor: Actor, id: number): Promise<boolean> {
  if (!(await findTask(parts.db.read, id))) throw noSuchTask(id)
  const what = { action: 'cancel_background_task', subject: String(id) }
  const asked = await auditedWrite(parts, actor, what, cancelTask, { id, at: parts.clock.now() }, Number)
  if (asked) parts.notifier.notify('tasks', String(id))
  return asked
}

/**
 * Begins a task again that went wrong or was cancelled, and gives the number of the one that does it: a new one, or one that is
 * under way with the same parameters.
 *
 * @throws {Refused} `not_found`; `bad_request` for one that has not ended, or with which nothing went wrong
 */
export async function orderRetry(
  parts: TaskOrderParts,
  actor: Actor,
  id: number,
): Promise<{ readonly id: number; readonly isNew: boolean }> {
  const what = { action: 'retry_background_task', subject: String(id) }
  const result = await auditedWrite(parts, actor, what, retryTask, { id, at: parts.clock.now() }, begun)
  if (result.outcome === 'not_found') throw noSuchTask(id)
  if (result.outcome === 'unfinished') throw new Refused('bad_request', `Task ${id} has not ended`)
  if (result.outcome === 'done') throw new Refused('bad_request', `Task ${id} is done: nothing went wrong`)
  parts.notifier.notify('tasks', String(result.id))
  return result
}

const begun = ({ outcome }: { readonly outcome: string }) => Number(outcome === 'begun')

export const noSuchTask = (id: number): Refused => new Refused('not_found', `There is no task ${id}`)
