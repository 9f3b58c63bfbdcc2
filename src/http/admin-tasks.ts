import { allTasks, cancelTask, findTask, type Task, unfinishedTasks } from '../db/tasks.ts'
import { Refused } from '../lib/errors.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** `GET admin/tasks/all`: oldest first. */
export async function listAll(parts: HttpParts): Promise<Answer> {
  return json((await allTasks(parts.db.read)).map(shown))
}

/** `GET admin/tasks/unfinished`: oldest first. */
export async function listUnfinished(parts: HttpParts): Promise<Answer> {
  return json((await unfinishedTasks(parts.db.read)).map(shown))
}

/** `GET admin/tasks/{taskId}`. */
export async function get(parts: HttpParts, call: Call): Promise<Answer> {
  const task = await findTask(parts.db.read, taskId(call))
  if (!task) throw new Refused('not_found', `There is no task ${call.param('taskId')}`)
  return json(shown(task))
}

/** `DELETE admin/tasks/{taskId}`: it ends where it is. What it has done stays done. Not in MMR. */
export async function cancel(parts: HttpParts, call: Call): Promise<Answer> {
  const id = taskId(call)
  const unfinished = await parts.db.write(cancelTask, { id, at: parts.clock.now() })
  if (unfinished) parts.notifier.notify('tasks', String(id))
  return await get(parts, call)
}

function taskId(call: Call): number {
  const text = call.param('taskId')
  if (!/^\d{1,15}$/.test(text)) throw new Refused('bad_request', `${text} is not the number of a task`)
  return Number(text)
}

/** A task in MMR's shape, and with it how far it is. */
function shown(task: Task) {
  return {
    task_id: task.id,
    task_name: task.name,
    params: task.params,
    start_ts: task.startedAt,
    end_ts: task.endedAt ?? 0,
    is_finished: task.endedAt !== null,
    error_message: task.error,
    progress: task.progress,
  }
}
