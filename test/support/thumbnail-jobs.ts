import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { Refused } from '../../src/lib/errors.ts'
import type { Generated, ThumbnailJob } from '../../src/thumbnails/job.ts'
import { openThumbnailPool } from '../../src/thumbnails/pool.ts'
import { findPrograms } from '../../src/thumbnails/programs.ts'
import { temporaryFolder } from './folder.ts'

/** Thumbnails as a server makes them, by worker processes, without the server. */
export interface ThumbnailJobs extends AsyncDisposable {
  readonly folder: string
  /** What the workers may hold, together, before they are ended; in bytes. */
  readonly memoryLimitBytes: number
  /** Makes one of a file with these bytes; gives what is to be known of it, and its bytes. */
  make(bytes: Buffer, asked?: Partial<ThumbnailJob>): Promise<Generated & { readonly thumbnail: Buffer }>
  /** How making one ends. Rejects with anything that is not the file's fault. */
  outcome(bytes: Buffer, asked?: Partial<ThumbnailJob>): Promise<Outcome>
  /** Files that somebody forgot. */
  leftBehind(): Promise<readonly string[]>
}

export type Outcome = 'made' | 'refused' | 'too large' | 'took too long' | 'took too much memory' | 'crashed'

const WORKERS = 2
const MEMORY_LIMIT_BYTES = 512 * 2 ** 20
const LIMITS = { maxSourceBytes: 2_000_000, maxPixels: 4_000_000 }
const TYPES = ['jpeg', 'png', 'apng', 'gif', 'webp', 'avif', 'heic', 'heif', 'tiff', 'bmp', 'jxl', 'svg+xml']

export async function openThumbnailJobs(): Promise<ThumbnailJobs> {
  const folder = await temporaryFolder()
  const stays = new AbortController().signal
  const pool = openThumbnailPool({
    workers: WORKERS,
    jobTimeoutMs: 30_000,
    memoryLimitBytes: MEMORY_LIMIT_BYTES,
    queueLimit: 10_000,
    programs: findPrograms(process.env['PATH'] ?? '', stays),
    log: pino({ level: 'silent' }),
  })
  let count = 0

  async function make(bytes: Buffer, asked: Partial<ThumbnailJob> = {}) {
    const [source, target] = [join(folder.path, `source-${++count}`), join(folder.path, `target-${count}`)]
    const size = { width: 48, height: 36, method: 'scale', stillFrame: 0 } as const
    const types = TYPES.map((type) => `image/${type}`)
    await writeFile(source, bytes)
    try {
      const made = await pool.generate({ source, target, ...size, limits: LIMITS, types, ...asked }, stays)
      return { ...made, thumbnail: await readFile(made.kind === 'original' ? source : target) }
    } finally {
      await rm(source)
      await rm(target, { force: true })
    }
  }

  return {
    folder: folder.path,
    memoryLimitBytes: WORKERS * MEMORY_LIMIT_BYTES,
    make,
    outcome: (bytes, asked) => make(bytes, asked).then(() => 'made' as const, outcomeOf),
    leftBehind: async () => (await readdir(folder.path)).filter((name) => /^(source|target)-\d+$/.test(name)),
    async [Symbol.asyncDispose]() {
      await pool.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof Refused)) throw error
  if (error.reason === 'too_large') return 'too large'
  if (error.reason !== 'not_thumbnailable') throw error
  if (error.message.includes('takes longer')) return 'took too long'
  if (error.message.includes('too much memory')) return 'took too much memory'
  return error.message.includes('decoding this file failed') ? 'crashed' : 'refused'
}

/** Resident memory of the processes that this one has started, in bytes; 0 where it cannot be had. */
export async function childrensMemory(): Promise<number> {
  const children = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8').catch(() => '')
  const sizes = await Promise.all(children.split(' ').filter(Boolean).map(residentBytes))
  return sizes.reduce((sum, bytes) => sum + bytes, 0)
}

async function residentBytes(pid: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
}
