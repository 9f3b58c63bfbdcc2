import { findTask, lastTasks, type Task, unfinishedTasks } from '../../db/tasks.ts'
import { noSuchTask, orderCancel, orderRetry } from '../../media/task-orders.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { anyObject, boolean, integer, list, object, string } from '../json-schema.ts'
import { whole } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { actorOf } from './moderator.ts'
import { listAnswer } from './paging.ts'

const chapter = 'Tasks'
const path = { taskId: whole({ description: 'Number of the task.', max: 999_999_999_999_999 }) }
const task = object(
  {
    task_id: integer('Its number.'),
    task_name: string('What is done.'),
    params: anyObject('What it was begun with.'),
    start_ts: integer('When it was begun, in ms since 1970.'),
    end_ts: integer('When it ended; 0: it has not.'),
    is_finished: boolean('Whether it has ended, in whatever way.'),
    error_message: string('What went wrong; empty: nothing.'),
    progress: anyObject('How far it is.'),
  },
  { retry_of: integer('Number of the task that this one was begun again for.') },
)

/** MMR's list has all of them; this one the last, unless more are wanted. */
export const listAll = described(
  {
    summary: 'Lists the last tasks, oldest first',
    chapter,
    query: {
      limit: whole({ description: 'How many.', min: 1, max: 10_000, fallback: 1000 }),
      before: whole({ description: 'Only tasks with smaller numbers.', fallback: null }),
    },
    answer: list(task),
    linksToMore: true,
  },
  async ({ db }, call, { query }) => {
    const found = await lastTasks(db.read, query)
    const [oldest] = found
    const next = oldest && found.length === query.limit ? { before: String(oldest.id) } : undefined
    return listAnswer(call, found.map(shown), next)
  },
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
    await orderCancel(parts, actorOf(call), taskId)
    return json(await taskOf(parts, taskId))
  },
)

/** The old task stays as it ended. Not in MMR. */
export const retry = described(
  {
    summary: 'Begins a task again that went wrong or was cancelled',
    details: 'It gets a number of its own. Asked twice, it is begun once.',
    chapter,
    path,
    answer: task,
    refusals: ['not_found', 'bad_request'],
  },
  async (parts, call, { path: { taskId } }) => {
    const { id } = await orderRetry(parts, actorOf(call), taskId)
    return json(await taskOf(parts, id))
  },
)

async function taskOf({ db }: HttpParts, id: number) {
  const found = await findTask(db.read, id)
  if (!found) throw noSuchTask(id)
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
    ...(found.retryOf === null ? {} : { retry_of: found.retryOf }),
  }
}
