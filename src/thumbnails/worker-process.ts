import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Refused, StorageUnavailable } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Generated, ThumbnailJob } from './job.ts'
import { giveWay } from './priority.ts'
import type { Programs } from './programs.ts'
import type { WorkerAnswer, WorkerTask } from './worker.ts'

export interface WorkerOptions {
  /** The module that the process runs. */
  readonly file: URL
  readonly jobTimeoutMs: number
  readonly memoryLimitBytes: number
  readonly programs: Programs
  /** By how much it gives way to the server, 0 to 19; not at all if not given. */
  readonly niceness?: number
  /** How long it may take until it is ready, in ms. */
  readonly startTimeoutMs?: number
  readonly log: Log
}

/** A machine under load needs seconds for what usually takes a quarter of one. */
const usualStartTimeoutMs = 15_000
const askAgainMs = 10_000
/** A caller that leaves lets its worker finish within this time: starting another one costs as much. */
const graceMs = 250
const stderrKept = 2000
/**
 * In MiB. A worker's JavaScript only moves a few numbers and file names about; with the room that V8 gives itself by default, it
 * collects no garbage for minutes (decision 033).
 */
const heapLimits = ['--max-semi-space-size=1', '--max-old-space-size=128']

/** A decoder in a process of its own: own process group, own folder, empty environment. Takes one job at a time. */
export class WorkerProcess {
  /** Fulfilled when the process has ended, for whatever reason, and its folder is gone. */
  readonly ended: Promise<void>
  readonly #child: ChildProcess
  readonly #options: WorkerOptions
  #receive: (answer: Answer) => void = () => {}
  #stderr = ''
  #endedBy: Error | undefined
  /** How the process ended; undefined while it runs. */
  #how: string | undefined
  #residentBytes = 0

  /**
   * @throws Refused `limited` when the process is not ready in time: the machine has too much to do
   * @throws Error when it cannot be started: a defect of the installation, not of a file
   */
  static async start(options: WorkerOptions): Promise<WorkerProcess> {
    const worker = new WorkerProcess(options, await mkdtemp(join(tmpdir(), 'cellarium-worker-')))
    await worker.#started()
    return worker
  }

  private constructor(options: WorkerOptions, folder: string) {
    this.#options = options
    this.#child = fork(options.file, {
      cwd: folder,
      env: workerEnvironment(folder),
      execArgv: heapLimits,
      // A group of its own: a Ctrl-C in the terminal is the server's to handle. On Windows it would open a window.
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    if (this.#child.pid !== undefined) giveWay(this.#child.pid, options.niceness ?? 0, options.log)
    this.#child.on('message', (answer: WorkerAnswer) => this.#receive(answer))
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#stderr = (this.#stderr + text.toString()).slice(-stderrKept)
    })
    const gone = new Promise<string>((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
      // An error of a process that did start is not its end yet.
      this.#child.on('error', (error) => (this.pid === undefined ? resolve(error.message) : this.#end(error)))
    })
    this.ended = this.#cleanUp(gone, folder)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Whether another job may be given to it: it runs, and holds less than half of the memory that a job may take. */
  get reusable(): boolean {
    return this.#how === undefined && !this.#endedBy && this.#residentBytes < this.#options.memoryLimitBytes / 2
  }

  /**
   * Does a job. When the promise is settled, the worker touches the job's files no more.
   *
   * @throws Refused what the generator says; `not_thumbnailable` when the process crashed, took too long or too much memory:
   *   it is the file that did that, as far as anybody can tell, and it would do it again.
   * @throws the signal's reason when it aborts.
   */
  async run(job: ThumbnailJob, signal: AbortSignal): Promise<Generated> {
    signal.throwIfAborted()
    const { jobTimeoutMs: timeLimitMs, memoryLimitBytes, programs } = this.#options
    const timers = [setTimeout(() => this.#giveUp(tooLong(timeLimitMs)), timeLimitMs)]
    const leave = () => timers.push(setTimeout(() => this.#end(toError(signal.reason)), graceMs))
    signal.addEventListener('abort', leave, { once: true })
    try {
      const answer = this.#nextAnswer()
      this.#send({ job, timeLimitMs, memoryLimitBytes, programs })
      const result = await this.#read(await answer)
      signal.throwIfAborted()
      return result
    } finally {
      signal.removeEventListener('abort', leave)
      for (const timer of timers) clearTimeout(timer)
    }
  }

  /** Ends the process at once and gives `reason` to whoever waits for a job. */
  async end(reason: Error): Promise<void> {
    this.#end(reason)
    await this.ended
  }

  async #started(): Promise<void> {
    const { startTimeoutMs = usualStartTimeoutMs, log } = this.#options
    const late = new Refused('limited', 'Thumbnails are made too slowly at the moment; try again later', {
      retryAfterMs: askAgainMs,
    })
    const timer = setTimeout(() => this.#end(late), startTimeoutMs)
    const answer = await this.#nextAnswer()
    clearTimeout(timer)
    if (answer.kind === 'ready') return
    await this.ended
    if (this.#endedBy === late) {
      log.error(
        { pid: this.pid, waitedMs: startTimeoutMs, stderr: this.#stderr },
        'a thumbnail worker is not ready in time',
      )
      throw late
    }
    const why = this.#endedBy?.message ?? (answer.kind === 'gone' ? answer.how : answer.kind)
    throw new Error(`the thumbnail worker ${this.#options.file.pathname} does not start: ${why} ${this.#stderr}`.trim())
  }

  #nextAnswer(): Promise<Answer> {
    return new Promise((resolve) => {
      // Not a race with the end's promise: a worker that lives long would gather one reaction on it for each job.
      this.#receive = resolve
      if (this.#how !== undefined) resolve({ kind: 'gone', how: this.#how })
    })
  }

  #send(task: WorkerTask): void {
    // That it could not be sent shows in the end of the process.
    this.#child.send(task, (error) => error && this.#end(error))
  }

  async #read(answer: Answer): Promise<Generated> {
    if (answer.kind === 'done') {
      this.#residentBytes = answer.residentBytes
      return answer.generated
    }
    if (answer.kind === 'refused') {
      throw new Refused(answer.reason, answer.message, { cause: answer.cause })
    }
    if (answer.kind === 'failed') throw this.#whyItFailed(answer.message, answer.stack)
    if (answer.kind === 'out_of_memory') {
      this.#giveUp(
        new Refused('not_thumbnailable', 'Cannot make a thumbnail: decoding this file takes too much memory'),
      )
    }
    await this.ended
    throw this.#whyItEnded(answer.kind === 'gone' ? answer.how : answer.kind)
  }

  /** A disk without room is an outage, and the file's fault even less than the program's. */
  #whyItFailed(message: string, stack: string): Error {
    if (!/^(ENOSPC|EDQUOT|EROFS|EACCES|EIO):/.test(message)) return new Error(message, { cause: stack })
    this.#options.log.error({ problem: message }, 'thumbnails cannot be written to the folder for temporary files')
    return new StorageUnavailable('thumbnails cannot be made at the moment; please try again', { cause: stack })
  }

  #whyItEnded(how: string): Error {
    const cause = new Error(`the thumbnail worker ended: ${how} ${this.#stderr}`.trim())
    return (
      this.#endedBy ?? new Refused('not_thumbnailable', 'Cannot make a thumbnail: decoding this file failed', { cause })
    )
  }

  /** Ends the process for what the file does to it. */
  #giveUp(reason: Refused): void {
    this.#options.log.warn({ pid: this.pid, reason: reason.message }, 'ending a thumbnail worker')
    this.#end(reason)
  }

  async #cleanUp(gone: Promise<string>, folder: string): Promise<void> {
    const { log } = this.#options
    const how = await gone
    // It may have left a program running.
    killGroup(this.#child)
    this.#how = how
    this.#receive({ kind: 'gone', how })
    if (!this.#endedBy) log.warn({ pid: this.pid, how, stderr: this.#stderr }, 'a thumbnail worker ended by itself')
    try {
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    } catch (error) {
      log.warn({ err: error, folder }, "a thumbnail worker's folder could not be removed")
    }
  }

  #end(reason: Error): void {
    if (this.#how !== undefined) return
    this.#endedBy ??= reason
    killGroup(this.#child)
  }
}

type Answer = WorkerAnswer | { readonly kind: 'gone'; readonly how: string }

/**
 * Nothing of the server's environment, which may hold secrets. One arena keeps glibc from hoarding what decoders free: their
 * threads take turns, so they hardly ever wait for it.
 */
function workerEnvironment(folder: string): NodeJS.ProcessEnv {
  const systemRoot = process.env['SystemRoot']
  return {
    MALLOC_ARENA_MAX: '1',
    UV_THREADPOOL_SIZE: '2',
    TMPDIR: folder,
    // Without it Windows starts no process.
    ...(systemRoot === undefined ? {} : { SystemRoot: systemRoot }),
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || process.platform === 'win32') {
    child.kill('SIGKILL')
    return
  }
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    // It has ended by itself in the meantime.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function tooLong(ms: number): Refused {
  return new Refused('not_thumbnailable', `Cannot make a thumbnail: it takes longer than ${ms} ms`)
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('the caller left', { cause: reason })
}
