import { setTimeout as delay } from 'node:timers/promises'
import type { Tools } from '../app/tools.ts'
import { isLeased } from '../db/leases.ts'
import { findTask, type Task } from '../db/tasks.ts'
import { leaseOf, runTask } from '../tasks/run-task.ts'

const LOOK_MS = 500
/** A server takes a task up within five seconds, also if nobody tells it. */
const PATIENCE_MS = 7000

/**
 * Watches a task to its end, with `show` called again and again, and gives it. Where no server takes it up, or the one that did
 * dies, it is done here. Ends early when `signal` aborts; then the task is unfinished, and some server goes on with it.
 */
export async function watchTask(
  tools: Tools,
  id: number,
  show: (task: Task) => void,
  signal: AbortSignal,
): Promise<Task> {
  let idleMs = 0
  let ours: Promise<boolean> | undefined
  for (;;) {
    const task = await findTask(tools.db.read, id)
    if (!task) throw new Error(`task ${id} was deleted`)
    show(task)
    if (task.endedAt !== null || signal.aborted) {
      await ours
      return task
    }
    idleMs = ours || (await isLeased(tools.db.read, leaseOf(task.name))) ? 0 : idleMs + LOOK_MS
    if (idleMs >= PATIENCE_MS) ours = runHere(tools, task, signal)
    const aWhile = delay(LOOK_MS, undefined, { signal }).catch(() => {})
    const isLeft = await (ours ? Promise.race([ours.then(() => true), aWhile]) : aWhile)
    // Done, or somebody took it up at the same moment, or our lease was lost over it: then it is somebody's turn again.
    if (isLeft) ours = undefined
  }
}

function runHere(tools: Tools, { id, name }: Task, signal: AbortSignal): Promise<boolean> {
  const kind = tools.kinds.find((known) => known.name === name)
  if (!kind) throw new Error(`this version knows no tasks of the name ${name}`)
  console.error('No server takes the task up: it is done here.')
  return runTask(tools, kind, id, { signal })
}
