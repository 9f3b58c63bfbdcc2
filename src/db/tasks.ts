import { isDeepStrictEqual } from 'node:util'
import { sql } from '#kysely'
import { type Deed, noteDeed } from './audit.ts'
import type { JsonObject } from './json.ts'
import { giveBack, holdsLease, type Lease } from './leases.ts'
import { lockRows, oneAtATime, type Queryable, unit } from './query.ts'

export type { Json, JsonObject } from './json.ts'

/** Something that an administrator asked for and that takes its time. */
export interface Task {
  readonly id: number
  readonly name: string
  readonly params: JsonObject
  /** How far it is, and whatever is needed to go on from there. */
  readonly progress: JsonObject
  readonly startedAt: number
  readonly endedAt: number | null
  readonly cancelledAt: number | null
  /** What went wrong; empty: nothing. */
  readonly error: string
  /** The task that this one was begun again for; null: it is no other's. */
  readonly retryOf: number | null
}

const columns = [
  'id',
  'name',
  'params',
  'progress',
  'started_at as startedAt',
  'ended_at as endedAt',
  'cancelled_at as cancelledAt',
  'error',
  'retry_of as retryOf',
] as const

function taskOf(row: Omit<Task, 'params' | 'progress'> & { params: string; progress: string }): Task {
  return { ...row, params: JSON.parse(row.params) as JsonObject, progress: JSON.parse(row.progress) as JsonObject }
}

export async function findTask(db: Queryable, id: number): Promise<Task | undefined> {
  const row = await db.selectFrom('tasks').select(columns).where('id', '=', id).executeTakeFirst()
  return row && taskOf(row)
}

/** The last `limit` tasks there are, or those with numbers below `before`: oldest first. */
export async function lastTasks(
  db: Queryable,
  { before, limit }: { readonly before: number | null; readonly limit: number },
): Promise<Task[]> {
  const rows = await db
    .selectFrom('tasks')
    .select(columns)
    .$if(before !== null, (query) => query.where('id', '<', before))
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.toReversed().map(taskOf)
}

/** The tasks that have not ended, oldest first. */
export async function unfinishedTasks(db: Queryable): Promise<Task[]> {
  const rows = await db.selectFrom('tasks').select(columns).where('ended_at', 'is', null).orderBy('id').execute()
  return rows.map(taskOf)
}

export interface NewTask {
  readonly name: string
  readonly params: JsonObject
  readonly progress: JsonObject
  readonly startedAt: number
  /** An unfinished task of this name whose parameters have these members is the one that is wanted. */
  readonly sameAs?: JsonObject
  /** The line of the audit log, to which the task's number is added. */
  readonly audit?: Deed | undefined
}

/** Writes a task down, under the next number, and gives it; or the unfinished one that is the same. */
export const addTask = unit(
  'addTask',
  async (tx, task: NewTask): Promise<{ readonly id: number; readonly isNew: boolean }> => {
    await oneAtATime(tx, 'tasks')
    const same = task.sameAs && (await findSame(tx, task.name, task.sameAs))
    if (same) {
      await noteTask(tx, task.audit, same.id)
      return { id: same.id, isNew: false }
    }
    const id = await insertTask(tx, { ...task, retryOf: null })
    await noteTask(tx, task.audit, id)
    return { id, isNew: true }
  },
)

async function insertTask(tx: Queryable, task: NewTask & { readonly retryOf: number | null }): Promise<number> {
  const { last } = await tx
    .selectFrom('tasks')
    .select(({ fn }) => fn.max('id').as('last'))
    .executeTakeFirstOrThrow()
  const id = (last ?? 0) + 1
  const { name, startedAt, retryOf } = task
  const texts = { params: JSON.stringify(task.params), progress: JSON.stringify(task.progress), error: '' }
  await tx
    .insertInto('tasks')
    .values({ id, name, ...texts, started_at: startedAt, retry_of: retryOf })
    .execute()
  return id
}

async function noteTask(tx: Queryable, audit: Deed | undefined, task: number): Promise<void> {
  await noteDeed(tx, audit && { ...audit, details: { ...audit.details, task } }, null)
}

async function findSame(tx: Queryable, name: string, sameAs: JsonObject): Promise<Task | undefined> {
  const unfinished = await unfinishedTasks(tx)
  return unfinished.find(
    (task) =>
      task.name === name &&
      task.cancelledAt === null &&
      Object.entries(sameAs).every(([member, value]) => task.params[member] === value),
  )
}

export type RetryResult =
  /** `id`: the new task, or the unfinished one that does the same already. */
  | { readonly outcome: 'begun'; readonly id: number; readonly isNew: boolean }
  | { readonly outcome: 'not_found' }
  /** It has not ended. */
  | { readonly outcome: 'unfinished' }
  /** Nothing went wrong with it. */
  | { readonly outcome: 'done' }

/**
 * Begins a task again that went wrong or was cancelled: a new one of the same name and parameters, without any progress. The old
 * one stays in the ledger as it ended.
 */
export const retryTask = unit(
  'retryTask',
  async (tx, { id, at, audit }: { id: number; at: number; audit?: Deed | undefined }): Promise<RetryResult> => {
    await oneAtATime(tx, 'tasks')
    const ended = await findTask(tx, id)
    if (!ended) return { outcome: 'not_found' }
    if (ended.endedAt === null) return { outcome: 'unfinished' }
    if (ended.error === '') return { outcome: 'done' }
    const { name, params } = ended
    const same = (await unfinishedTasks(tx)).find(
      (task) => task.name === name && task.cancelledAt === null && isDeepStrictEqual(task.params, params),
    )
    const again = same?.id ?? (await insertTask(tx, { name, params, progress: {}, startedAt: at, retryOf: id }))
    await noteTask(tx, audit, again)
    return { outcome: 'begun', id: again, isNew: same === undefined }
  },
)

/**
 * Deletes tasks that ended before `before` (ms since 1970), at most `limit`, and gives how many. The last task stays: its number
 * is not to come twice.
 */
export const sweepTasks = unit(
  'sweepTasks',
  async (tx, { before, limit }: { before: number; limit: number }): Promise<number> => {
    const old = await tx
      .selectFrom('tasks')
      .select('id')
      .where('ended_at', '<', before)
      .where('id', '<', (is) => is.selectFrom('tasks as every').select(({ fn }) => fn.max('every.id').as('last')))
      .orderBy('ended_at')
      .limit(limit)
      .execute()
    const ids = old.map(({ id }) => id)
    if (ids.length > 0) await tx.deleteFrom('tasks').where('id', 'in', ids).execute()
    return ids.length
  },
)

/** Asks for a task to end where it is; gives whether it was still to end. */
export const cancelTask = unit(
  'cancelTask',
  async (tx, { id, at, audit }: { id: number; at: number; audit?: Deed | undefined }): Promise<boolean> => {
    const asked = await tx
      .updateTable('tasks')
      .set({ cancelled_at: sql<number>`coalesce(cancelled_at, ${at})` })
      .where('id', '=', id)
      .where('ended_at', 'is', null)
      .returning('id')
      .executeTakeFirst()
    if (asked) await noteDeed(tx, audit, 1)
    return asked !== undefined
  },
)

/** A task as whoever runs it under `lease` sees it. */
export interface HeldTask {
  readonly lease: Lease
  readonly id: number
}

/** The task, locked until the transaction ends; undefined when the lease is lost: then nothing may be changed. */
export async function lockHeldTask(
  tx: Queryable,
  { lease, id }: HeldTask,
): Promise<{ readonly cancelledAt: number | null } | undefined> {
  if (!(await holdsLease(tx, lease))) return undefined
  return await lockRows(
    tx,
    tx.selectFrom('tasks').select('cancelled_at as cancelledAt').where('id', '=', id).where('ended_at', 'is', null),
  ).executeTakeFirst()
}

/** Whether whoever runs a task may go on: it is theirs, somebody cancelled it, or it is another's by now. */
export type Standing = 'held' | 'cancelled' | 'lost'

/** Writes down how far a task is; gives whether it is to go on. */
export const saveProgress = unit(
  'saveProgress',
  async (tx, { progress, ...held }: HeldTask & { progress: JsonObject }): Promise<Standing> => {
    const task = await lockHeldTask(tx, held)
    if (!task) return 'lost'
    await setProgress(tx, held.id, progress)
    return task.cancelledAt === null ? 'held' : 'cancelled'
  },
)

/** Writes down how far a task is, inside the transaction that got it there. */
export async function setProgress(tx: Queryable, id: number, progress: JsonObject): Promise<void> {
  await tx
    .updateTable('tasks')
    .set({ progress: JSON.stringify(progress) })
    .where('id', '=', id)
    .execute()
}

/** Ends a task and gives its lease back; `error` is empty when all went well. Nothing happens when the lease is lost. */
export const endTask = unit(
  'endTask',
  async (tx, { error, at, ...held }: HeldTask & { error: string; at: number }): Promise<void> => {
    if (!(await lockHeldTask(tx, held))) return
    await tx.updateTable('tasks').set({ ended_at: at, error }).where('id', '=', held.id).execute()
    await giveBack(tx, held.lease)
  },
)
