import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '../db/connect.ts'
import { endTask, findTask, type HeldTask, type JsonObject, saveProgress, type Task } from '../db/tasks.ts'
import { LeaseLost, type LeaseParts, withLease } from '../db/with-lease.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { taskEnded, taskLeft, taskTaken } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'

/** How tasks of one name are done. */
export interface TaskKind {
  readonly name: string
  /**
   * Works on a task, from the beginning (also where its progress is `{}`: it was begun again) or from where somebody left it.
   * Gives what went wrong, in a sentence or two, or ''.
   * What it throws is tried again a few times, unless it is `Refused`. Undefined: it has to wait for something, and is taken up again
   * when `isReady` says so.
   */
  readonly run: (task: RunningTask) => Promise<string | undefined>
  /** Whether there is something to do about a task now. Absent: always. Asked every few seconds. */
  readonly isReady?: (task: Task) => Promise<boolean>
}

/** A task that is this instance's for now. */
export interface RunningTask extends Pick<Task, 'params' | 'progress' | 'startedAt'> {
  readonly held: HeldTask
  /** Aborts when the task is cancelled, the lease is lost, or this process ends. */
  readonly signal: AbortSignal
  /** Writes down how far it is. Throws when the task is not to go on here. */
  readonly save: (progress: JsonObject) => Promise<void>
}

export interface TaskParts extends LeaseParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly clock: Clock
}

export interface RunOptions {
  readonly signal: AbortSignal
  /** How long a task stays with an instance that died, in ms; 20 s if not given. */
  readonly leaseMs?: number
  /** How often to look whether it was cancelled, in ms; 2 s if not given. */
  readonly lookMs?: number
}

/** Somebody cancelled the task. */
class TaskCancelled extends Error {
  override readonly name = 'TaskCancelled'
}

const CANCELLED = 'cancelled'
const LOOK_MS = 2000
/** Before each of which it pauses a little longer: a database or a storage that restarts is back by then. */
const ATTEMPTS = 5
const PAUSE_MS = 2000

/** The lease that tasks of a name are done under, one after the other among all instances. */
export const leaseOf = (name: string): string => `task ${name}`

/**
 * Works on a task until it has ended, if nobody else works on one of its kind. Gives false when somebody does. A task that is
 * broken off by the end of the process or by a lost lease stays unfinished, for another instance to go on with.
 */
export async function runTask(parts: TaskParts, kind: TaskKind, id: number, options: RunOptions): Promise<boolean> {
  const leaseOptions = { ms: options.leaseMs, signal: options.signal }
  const leased = await withLease(parts, leaseOf(kind.name), leaseOptions, async (lease, signal) => {
    const held = { lease, id }
    using cancelled = watchCancelled(parts, id, options.lookMs ?? LOOK_MS)
    const start = { task: kind.name, id }
    const began = performance.now()
    taskTaken(parts.events, start)
    try {
      await runToItsEnd(parts, kind, held, AbortSignal.any([signal, cancelled.signal]))
    } finally {
      taskLeft(parts.events, { ...start, durationMs: Math.round(performance.now() - began) })
    }
  })
  return leased.outcome === 'done'
}

async function runToItsEnd(parts: TaskParts, kind: TaskKind, held: HeldTask, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const task = await findTask(parts.db.read, held.id)
    // Whoever had the lease before may have ended it since we read of it.
    if (!task || task.endedAt !== null) return
    if (task.cancelledAt !== null) return await end(parts, task, held, CANCELLED)
    try {
      const save = (progress: JsonObject) => saveOrStop(parts, held, progress)
      const problem = await kind.run({ ...task, held, signal, save })
      if (problem === undefined) return
      return await end(parts, task, held, problem)
    } catch (error) {
      if (isCancelled(error, signal)) return await end(parts, task, held, CANCELLED)
      if (signal.aborted || error instanceof LeaseLost) return
      if (attempt === ATTEMPTS || error instanceof Refused) return await end(parts, task, held, messageOf(error))
      parts.log.warn({ err: error, task: task.name, id: held.id, attempt }, 'a task was interrupted; it goes on soon')
      await delay(PAUSE_MS * attempt, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}

async function saveOrStop({ db }: TaskParts, held: HeldTask, progress: JsonObject): Promise<void> {
  const standing = await db.write(saveProgress, { ...held, progress })
  if (standing === 'lost') throw new LeaseLost(`task ${held.id} is another instance's`)
  if (standing === 'cancelled') throw new TaskCancelled(CANCELLED)
}

async function end(parts: TaskParts, { name, id }: Task, held: HeldTask, problem: string): Promise<void> {
  await parts.db.write(endTask, { ...held, error: problem, at: parts.clock.now() })
  taskEnded(parts.events, { task: name, id, problem, cancelled: problem === CANCELLED })
}

function isCancelled(error: unknown, signal: AbortSignal): boolean {
  return error instanceof TaskCancelled || signal.reason instanceof TaskCancelled
}

/** Looks now and then whether the task was cancelled, on whichever instance that was asked. */
function watchCancelled({ db, log }: TaskParts, id: number, everyMs: number): Disposable & { signal: AbortSignal } {
  const controller = new AbortController()
  const look = async () => {
    const task = await findTask(db.read, id)
    if (task && task.cancelledAt !== null) controller.abort(new TaskCancelled(CANCELLED))
  }
  const timer = setInterval(() => {
    look().catch((error: unknown) => log.debug({ err: error, id }, 'could not look whether a task was cancelled'))
  }, everyMs).unref()
  return { signal: controller.signal, [Symbol.dispose]: () => clearInterval(timer) }
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : 'it failed without saying why'
}
