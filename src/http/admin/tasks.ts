import { allTasks, cancelTask, findTask, type Task, unfinishedTasks } from '../../db/tasks.ts'
import { Refused } from '../../lib/errors.ts'
import { auditedWrite } from '../../media/audit.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { anyObject, boolean, integer, list, object, string } from '../json-schema.ts'
import { whole } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { actorOf } from './moderator.ts'

const chapter = 'Tasks'
const path = { taskId: whole({ description: 'Number of the task.', max: 999_999_999_999_999 }) }
const task = object({
  task_id: integer('Its number.'),
  task_name: string('What is done.'),
  params: anyObject('What it was begun with.'),
  start_ts: integer('When it was begun, in ms since 1970.'),
  end_ts: integer('When it ended; 0: it has not.'),
  is_finished: boolean('Whether it has ended, in whatever way.'),
  error_message: string('What went wrong; empty: nothing.'),
  progress: anyObject('How far it is.'),
})

/** Oldest first. */
export const listAll = described(
  { summary: 'Lists all tasks, oldest first', chapter, answer: list(task) },
  async ({ db }) => json((await allTasks(db.read)).map(shown)),
)

/** Oldest first. */
export const listUnfinished = described(
  { summary: 'Lists tasks that have not ended, oldest first', chapter, answer: list(task) },
  async ({ db }) => json((await unfinishedTasks(db.read)).map(shown)),
)

export const get = described(
  { summary: 'Shows a task', chapter, path, answer: task, refusals: ['not_found'] },
  async (parts, _, { path: { taskId } }) => json(await taskOf(parts, taskId)),
)

/** It ends where it is. What it has done stays done. Not in MMR. */
export const cancel = described(
  {
    summary: 'Cancels a task',
    details: 'It ends where it is. What it has done stays done.',
    chapter,
    path,
    answer: task,
    refusals: ['not_found'],
  },
  async (parts, call, { path: { taskId } }) => {
    const what = { action: 'cancel_background_task', subject: String(taskId) }
    const task = { id: taskId, at: parts.clock.now() }
    const unfinished = await auditedWrite(parts, actorOf(call), what, cancelTask, task, (asked) => (asked ? 1 : 0))
    if (unfinished) parts.notifier.notify('tasks', String(taskId))
    return json(await taskOf(parts, taskId))
  },
)

async function taskOf({ db }: HttpParts, id: number) {
  const found = await findTask(db.read, id)
  if (!found) throw new Refused('not_found', `There is no task ${id}`)
  return shown(found)
}

/** A task in MMR's shape, and with it how far it is. */
function shown(found: Task) {
  return {
    task_id: found.id,
    task_name: found.name,
    params: found.params,
    start_ts: found.startedAt,
    end_ts: found.endedAt ?? 0,
    is_finished: found.endedAt !== null,
    error_message: found.error,
    progress: found.progress,
  }
}
