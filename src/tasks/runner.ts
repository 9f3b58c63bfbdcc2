import type { Notifier } from '../coordination/notifier.ts'
import { isLeased } from '../db/leases.ts'
import { type Task, unfinishedTasks } from '../db/tasks.ts'
import { leaseOf, runTask, type RunOptions, type TaskKind, type TaskParts } from './run-task.ts'

export interface RunnerParts extends TaskParts {
  readonly notifier: Pick<Notifier, 'on'>
}

export interface RunnerOptions extends Omit<RunOptions, 'signal'> {
  /** How many tasks this instance works on at a time. Tasks of one kind come one after the other anyway. */
  readonly atATime: number
  /** How often to look for tasks without being told of any, in ms; 5 s if not given. */
  readonly pollMs?: number
}

const POLL_MS = 5000

/**
 * Takes up tasks that wait or that a dead instance left. Disposing it stops what is under way where it is: another instance,
 * or the next start, goes on from there.
 */
export class TaskRunner implements AsyncDisposable {
  readonly #parts: RunnerParts
  readonly #kinds: ReadonlyMap<string, TaskKind>
  readonly #options: RunnerOptions
  readonly #closing = new AbortController()
  /** The kinds that this instance works on. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #timer: NodeJS.Timeout
  readonly #off: () => void
  #looking: Promise<void> = Promise.resolve()

  constructor(parts: RunnerParts, kinds: readonly TaskKind[], options: RunnerOptions) {
    this.#parts = parts
    this.#kinds = new Map(kinds.map((kind) => [kind.name, kind]))
    this.#options = options
    this.#timer = setInterval(() => this.#lookAgain(), options.pollMs ?? POLL_MS).unref()
    this.#off = parts.notifier.on('tasks', () => this.#lookAgain())
    this.#lookAgain()
  }

  #lookAgain(): void {
    this.#looking = this.#looking
      .then(() => this.#look())
      .catch((error: unknown) => {
        this.#parts.log.warn({ err: error }, 'could not look for tasks; it is tried again')
      })
  }

  async #look(): Promise<void> {
    // Whatever ends meanwhile: the next of its kind is the oldest one, which has been passed by.
    const busy = new Set(this.#running.keys())
    for (const task of await unfinishedTasks(this.#parts.db.read)) {
      if (this.#closing.signal.aborted || this.#running.size >= this.#options.atATime) return
      // Tasks of other names are a newer version's: its instances do them.
      const kind = this.#kinds.get(task.name)
      if (!kind || busy.has(kind.name)) continue
      if (task.cancelledAt === null && (await kind.isReady?.(task)) === false) continue
      // Only a hint, which spares the database the writes of those who ask in vain.
      const isElsewhere = await isLeased(this.#parts.db.read, leaseOf(kind.name))
      busy.add(kind.name)
      if (!isElsewhere) this.#running.set(kind.name, this.#run(kind, task))
    }
  }

  async #run(kind: TaskKind, { name, id }: Task): Promise<void> {
    let ran = false
    try {
      ran = await runTask(this.#parts, kind, id, { ...this.#options, signal: this.#closing.signal })
    } catch (error) {
      this.#parts.log.warn({ err: error, task: name, id }, 'a task was broken off; it is taken up again')
    } finally {
      this.#running.delete(kind.name)
    }
    if (ran) this.#lookAgain()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#off()
    this.#closing.abort()
    await this.#looking
    await Promise.all(this.#running.values())
  }
}
