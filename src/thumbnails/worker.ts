import { rmdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { Refused } from '../lib/errors.ts'
import type { Reason } from '../lib/errors.ts'
import { generateThumbnail, prepareGenerators } from './generators.ts'
import type { Generated, ThumbnailJob } from './job.ts'
import type { Programs } from './programs.ts'

/**
 * The process in which files from strangers are decoded, one at a time. Started by `worker-process.ts` with an empty
 * environment; it talks over the channel it was started with and ends when that closes.
 */

export interface WorkerTask {
  readonly job: ThumbnailJob
  readonly timeLimitMs: number
  readonly memoryLimitBytes: number
  readonly programs: Programs
}

/** `residentBytes`: what the process holds after the job. `out_of_memory` is its last word. */
export type WorkerAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly generated: Generated; readonly residentBytes: number }
  | { readonly kind: 'refused'; readonly reason: Reason; readonly message: string; readonly cause?: string }
  | { readonly kind: 'failed'; readonly message: string; readonly stack: string }
  | { readonly kind: 'out_of_memory'; readonly residentBytes: number }

const memoryCheckMs = 25

prepareGenerators()
process.on('disconnect', leave)
process.on('message', (task: WorkerTask) => void work(task).then(answer))
await offerMyselfToTheOutOfMemoryKiller()
answer({ kind: 'ready' })

async function work({ job, timeLimitMs, memoryLimitBytes, programs }: WorkerTask): Promise<WorkerAnswer> {
  const watch = setInterval(() => checkMemory(memoryLimitBytes), memoryCheckMs)
  try {
    const generated = await generateThumbnail(job, timeLimitMs, { programs, memoryLimitBytes })
    return { kind: 'done', generated, residentBytes: process.memoryUsage.rss() }
  } catch (error) {
    return describe(error)
  } finally {
    clearInterval(watch)
  }
}

function describe(error: unknown): WorkerAnswer {
  if (error instanceof Refused) {
    const cause = error.cause instanceof Error ? { cause: error.cause.message } : {}
    return { kind: 'refused', reason: error.reason, message: error.message, ...cause }
  }
  const defect = error instanceof Error ? error : new Error(String(error))
  return { kind: 'failed', message: defect.message, stack: defect.stack ?? '' }
}

function answer(message: WorkerAnswer, sent: () => void = () => {}): void {
  process.send?.(message, sent)
}

/** Decoders work in threads of their own, so this timer runs while they do. */
function checkMemory(limitBytes: number): void {
  const residentBytes = process.memoryUsage.rss()
  if (residentBytes > limitBytes) answer({ kind: 'out_of_memory', residentBytes }, killMyself)
}

/** The server is gone: takes the folder along, which is empty unless a decoder was interrupted. */
function leave(): void {
  try {
    rmdirSync(process.cwd())
  } finally {
    killMyself()
  }
}

/** With the program that it runs, if any. exit() would wait for the decoder's threads; nobody is left to wait for them. */
function killMyself(): void {
  process.kill(process.platform === 'win32' ? process.pid : -process.pid, 'SIGKILL')
}

/** When the machine runs out of memory, Linux shall end a decoder rather than the server. Elsewhere there is no such file. */
async function offerMyselfToTheOutOfMemoryKiller(): Promise<void> {
  if (process.platform === 'linux') await writeFile('/proc/self/oom_score_adj', '500').catch(() => {})
}
