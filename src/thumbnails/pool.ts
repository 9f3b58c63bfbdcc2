import { rm } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { Refused } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { WorkQueue } from '../lib/work-queue.ts'
import type { Generated, ThumbnailJob } from './job.ts'
import type { Programs } from './programs.ts'
import { WorkerProcess } from './worker-process.ts'

export interface ThumbnailPoolOptions {
  /** How many processes may decode at the same time (`thumbnails.numWorkers`). */
  readonly workers: number
  /** How long one job may take once a worker has it; the time in the queue does not count. */
  readonly jobTimeoutMs: number
  /** How much a worker may hold, about 75 MiB of it being its own; 1 GiB if not given. */
  readonly memoryLimitBytes?: number
  /** How many jobs may wait for a worker. */
  readonly queueLimit: number
  /** How long one may wait for a worker, in ms; for ever if not given. */
  readonly longestWaitMs?: number
  /** Programs of the machine for the types that need them; none if not given. Never rejects. */
  readonly programs?: Promise<Programs>
  /** By how much workers give way to the server, as `nice` has it: 0 to 19; not at all if not given. */
  readonly niceness?: number
  /** How long a worker may take until it is ready, in ms; 15 s if not given. */
  readonly startTimeoutMs?: number
  readonly log: Log
  /** How long a worker without work is kept; a minute if not given. */
  readonly idleMs?: number
  /** What the workers run; for tests. */
  readonly workerFile?: URL
}

const defaultMemoryLimitBytes = 1024 ** 3
const defaultIdleMs = 60_000
const retryWhenFullMs = 2000

/** Decodes files in processes of its own, started when there is work and ended when there has been none for a while. */
export class ThumbnailPool {
  readonly #options: ThumbnailPoolOptions
  readonly #queue: WorkQueue
  readonly #workers = new Set<WorkerProcess>()
  /** The last one was used last, so that those not needed grow old. */
  readonly #idle: { readonly worker: WorkerProcess; readonly timer: NodeJS.Timeout }[] = []
  #closed = false

  constructor(options: ThumbnailPoolOptions) {
    this.#options = options
    this.#queue = new WorkQueue({
      atATime: options.workers,
      waiting: options.queueLimit,
      ...(options.longestWaitMs === undefined ? {} : { longestWaitMs: options.longestWaitMs }),
      retryMs: retryWhenFullMs,
      what: 'thumbnails are being made',
    })
  }

  /**
   * Makes a thumbnail. When the promise is settled, nobody touches the job's files any more, and there is a target only
   * if it gave a thumbnail.
   *
   * @throws Refused `too_large` or `not_thumbnailable` for the file's sake, `limited` when too many jobs wait, or this one for too long.
   * @throws the signal's reason, soon after it aborts: a job that waits leaves the queue, a running one is ended.
   */
  async generate(job: ThumbnailJob, signal: AbortSignal): Promise<Generated> {
    signal.throwIfAborted()
    if (this.#closed) throw stopping()
    const absolute = { ...job, source: resolve(job.source), target: resolve(job.target) }
    return await this.#queue.run(signal, () => this.#run(absolute, signal))
  }

  /** How many jobs wait for a worker. */
  get waiting(): number {
    return this.#queue.waiting
  }

  /** Ends all workers; jobs that wait or run are refused. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#workers].map((worker) => worker.end(stopping())))
    await this.#queue.idle()
  }

  async #run(job: ThumbnailJob, signal: AbortSignal): Promise<Generated> {
    const worker = await this.#takeWorker()
    try {
      return await worker.run(job, signal)
    } catch (error) {
      await rm(job.target, { force: true })
      throw error
    } finally {
      await this.#giveBack(worker)
    }
  }

  async #takeWorker(): Promise<WorkerProcess> {
    if (this.#closed) throw stopping()
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      clearTimeout(idle.timer)
      if (idle.worker.reusable) return idle.worker
    }
    return this.#startWorker()
  }

  async #startWorker(): Promise<WorkerProcess> {
    const {
      jobTimeoutMs,
      log,
      niceness = 0,
      startTimeoutMs,
      memoryLimitBytes = defaultMemoryLimitBytes,
      workerFile: file = ownWorkerFile(),
    } = this.#options
    const programs = (await this.#options.programs) ?? {}
    const usual = { file, jobTimeoutMs, memoryLimitBytes, programs, niceness, log }
    const worker = await WorkerProcess.start(startTimeoutMs === undefined ? usual : { ...usual, startTimeoutMs })
    this.#workers.add(worker)
    void worker.ended.then(() => this.#forget(worker))
    if (!this.#closed) return worker
    await worker.end(stopping())
    throw stopping()
  }

  async #giveBack(worker: WorkerProcess): Promise<void> {
    if (!worker.reusable || this.#closed) return worker.end(notNeeded())
    const timer = setTimeout(() => void worker.end(notNeeded()), this.#options.idleMs ?? defaultIdleMs)
    this.#idle.push({ worker, timer: timer.unref() })
  }

  #forget(worker: WorkerProcess): void {
    this.#workers.delete(worker)
    const index = this.#idle.findIndex((idle) => idle.worker === worker)
    for (const { timer } of index < 0 ? [] : this.#idle.splice(index, 1)) clearTimeout(timer)
  }
}

/** A pool without workers: the first job starts the first one. Close it when no more thumbnails are wanted. */
export function openThumbnailPool(options: ThumbnailPoolOptions): ThumbnailPool {
  return new ThumbnailPool(options)
}

/** `worker.ts` beside this file, or `worker.js` where this file is JavaScript (the published package). */
function ownWorkerFile(): URL {
  return new URL(`worker${extname(import.meta.url)}`, import.meta.url)
}

function stopping(): Refused {
  return new Refused('limited', 'The server is stopping', { retryAfterMs: retryWhenFullMs })
}

function notNeeded(): Error {
  return new Error('the thumbnail worker is not needed any more')
}
