import type { Notifier } from '../coordination/notifier.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import { type Candidate, moveObject, objectsPage } from '../db/transfer.ts'
import { deleteLater } from '../db/unused.ts'
import { LeaseLost } from '../db/with-lease.ts'
import { Unavailable } from '../lib/errors.ts'
import { objectMoved, objectNotMoved } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'
import { type CopyParts, copyProven, discard, isOfObject } from '../media/copy-object.ts'
import {
  progressAtFirst,
  refuseImpossible,
  TRANSFER,
  type TransferProgress,
  type TransferWish,
  wishOf,
} from '../media/transfer.ts'
import { KEEP_UNUSED_MS, UNCERTAIN_MS } from '../media/unused.ts'
import type { RunningTask, TaskKind } from './run-task.ts'

export interface TransferTaskParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'get'>
  readonly notifier: Pick<Notifier, 'notify'>
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

export interface TransferOptions {
  /** Objects that are copied at the same time. */
  readonly atOnce: number
  /** How long old bytes stay after their object was moved, in ms. */
  readonly keepMs: number
}

const DEFAULTS: TransferOptions = { atOnce: 4, keepMs: KEEP_UNUSED_MS }
const PAGE = 50
const FAILURES_NAMED = 100
const NAMED_IN_MESSAGE = 3
/** So many failures one after the other that are no object's own: a datastore is full or down, and all the others would fail. */
const IN_A_ROW = 10

/** Moving everything, or what was not read lately, from one datastore to another. MMR's `storage_migration`. */
export function transferKind(parts: TransferTaskParts, options: Partial<TransferOptions> = {}): TaskKind {
  return {
    name: TRANSFER,
    run: async (task) => {
      const progress = 'after' in task.progress ? task.progress : await progressAtFirst(parts.db, wishOf(task))
      return await new Transfer(parts, { ...DEFAULTS, ...options }, { ...task, progress }).run()
    },
  }
}

/** One run of a transfer, from wherever it stands. */
class Transfer {
  readonly #parts: TransferTaskParts
  readonly #options: TransferOptions
  readonly #task: RunningTask
  readonly #wish: TransferWish
  readonly #copying: CopyParts
  #progress: TransferProgress
  /** What failed in this page. It counts when the page is done: a page that is begun anew must not count it twice. */
  #failed: { readonly object: Candidate; readonly error: unknown }[] = []
  #inARow = 0
  /** Moves are written down one after the other, each with the progress up to it. */
  #committing: Promise<unknown> = Promise.resolve()

  constructor(parts: TransferTaskParts, options: TransferOptions, task: RunningTask) {
    this.#parts = parts
    this.#options = options
    this.#task = task
    this.#wish = wishOf(task)
    this.#progress = task.progress as TransferProgress
    refuseImpossible(parts.datastores, this.#wish)
    const [from, to] = [parts.datastores.get(this.#wish.source), parts.datastores.get(this.#wish.target)]
    if (!from || !to) throw new Error('refuseImpossible let an unknown datastore pass')
    this.#copying = { from, to, log: parts.events.log }
  }

  /** Page by page through the source; gives what went wrong. */
  async run(): Promise<string> {
    for (;;) {
      const page = await this.#nextPage()
      const last = page.at(-1)
      if (!last) return failureMessage(this.#progress)
      await this.#movePage(page)
      if (this.#inARow >= IN_A_ROW) return this.#stopped()
      await this.#finishPage(page, last.location)
    }
  }

  #nextPage(): Promise<Candidate[]> {
    return objectsPage(this.#parts.db.read, {
      datastore: this.#wish.source,
      after: this.#progress.after,
      limit: PAGE,
      readSince: this.#wish.before,
    })
  }

  async #movePage(page: readonly Candidate[]): Promise<void> {
    const waiting = page.filter((object) => !object.isRecent)
    const moved: string[] = []
    const work = async () => {
      for (let object = waiting.shift(); object && this.#inARow < IN_A_ROW; object = waiting.shift()) {
        this.#task.signal.throwIfAborted()
        if (await this.#move(object)) moved.push(object.sha256)
      }
    }
    const workers = await Promise.allSettled(Array.from({ length: this.#options.atOnce }, work))
    this.#tell(moved)
    const failed = workers.find((worker) => worker.status === 'rejected')
    if (failed) throw failed.reason
  }

  /** What keeps records or bytes of these looks again. Only a hint: the old bytes are there for a while. */
  #tell(sha256s: readonly string[]): void {
    if (sha256s.length > 0) this.#parts.notifier.notify('changed', JSON.stringify({ kind: 'content', sha256s }))
  }

  /** Moves one object; gives whether it is moved. Only what concerns the whole task is thrown. */
  async #move(object: Candidate): Promise<boolean> {
    let location: string
    try {
      location = await copyProven(this.#copying, object, this.#task.signal)
    } catch (error) {
      this.#task.signal.throwIfAborted()
      this.#noteFailure(object, error)
      return false
    }
    this.#inARow = 0
    return await this.#commit(object, location)
  }

  async #commit(object: Candidate, location: string): Promise<boolean> {
    const to = { datastore: this.#copying.to.id, location }
    const result = this.#committing.then(async () => {
      const { moved, movedBytes } = this.#progress
      const progress = { ...this.#progress, moved: moved + 1, movedBytes: movedBytes + object.size }
      const { held } = this.#task
      const { sha256, size, datastore } = object
      const stored = { sha256, size, datastore, location: object.location }
      const outcome = await this.#parts.db.write(moveObject, {
        ...held,
        object: stored,
        to,
        keepMs: this.#options.keepMs,
        progress,
      })
      if (outcome === 'moved') this.#progress = progress
      return outcome
    })
    this.#committing = result.catch(() => {})
    let outcome
    try {
      outcome = await result
    } catch (error) {
      await this.#leaveToTheSweep(to)
      throw error
    }
    if (outcome === 'moved') {
      objectMoved(this.#parts.events, { ...this.#described(object) })
      return true
    }
    await discard(this.#copying, location)
    if (outcome === 'lost') throw new LeaseLost(`task ${this.#task.held.id} is another instance's`)
    return false
  }

  async #leaveToTheSweep(copy: { readonly datastore: string; readonly location: string }): Promise<void> {
    try {
      await this.#parts.db.write(deleteLater, { ...copy, afterMs: UNCERTAIN_MS })
    } catch (error) {
      this.#parts.events.log.warn({ err: error, ...copy }, 'a copy may be left that no record names; a sweep finds it')
    }
  }

  #noteFailure(object: Candidate, error: unknown): void {
    if (isOfObject(error)) this.#inARow = 0
    else this.#inARow++
    this.#failed.push({ object, error })
    objectNotMoved(this.#parts.events, { ...this.#described(object), problem: error })
  }

  async #finishPage(page: readonly Candidate[], after: string): Promise<void> {
    const { skipped } = this.#progress
    const recent = page.filter((object) => object.isRecent).length
    const progress = { ...this.#withFailures(), skipped: skipped + recent, after }
    await this.#task.save(progress)
    this.#progress = progress
    this.#failed = []
  }

  #withFailures(): TransferProgress {
    const { failed, failures } = this.#progress
    const named = this.#failed.map(({ object, error }) => ({
      sha256: object.sha256,
      location: object.location,
      error: messageOf(error),
    }))
    return {
      ...this.#progress,
      failed: failed + named.length,
      failures: [...failures, ...named].slice(0, FAILURES_NAMED),
    }
  }

  /** The page is not done, so whoever asks for the same again begins with it. */
  async #stopped(): Promise<string> {
    const progress = this.#withFailures()
    await this.#task.save(progress)
    const last = this.#failed.at(-1)
    return (
      `stopped after ${IN_A_ROW} failures in a row, ${progress.moved} objects moved: ` +
      `${messageOf(last?.error)}; nothing is lost, begin it again when that is mended`
    )
  }

  #described({ sha256, size, location }: Candidate) {
    return { sha256, bytes: size, from: this.#copying.from.id, location, to: this.#copying.to.id }
  }
}

function failureMessage({ failed, failures, moved }: TransferProgress): string {
  if (failed === 0) return ''
  const named = failures.slice(0, NAMED_IN_MESSAGE).map(({ sha256, error }) => `${sha256}: ${error}`)
  const more = failed > named.length ? `; and ${failed - named.length} more` : ''
  return `${moved} ${moved === 1 ? 'object' : 'objects'} moved, ${failed} left where they are: ${named.join('; ')}${more}`
}

function messageOf(error: unknown): string {
  // Its own words are for users; administrators need to know what happened.
  if (error instanceof Unavailable && error.cause instanceof Error) return messageOf(error.cause)
  return error instanceof Error && error.message !== '' ? error.message : 'it failed without saying why'
}
