import { fork } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ThumbnailJob } from '../../src/thumbnails/job.ts'
import { openThumbnailPool } from '../../src/thumbnails/pool.ts'
import type { ThumbnailPool, ThumbnailPoolOptions } from '../../src/thumbnails/pool.ts'
import { interlacedPngBomb, noise, pngBomb, quarters } from '../support/images.ts'

const log = pino({ level: 'silent' })
const workerDouble = new URL('../support/worker-double.ts', import.meta.url)
const limits = { maxSourceBytes: 10_000_000, maxPixels: 32_000_000 }
const stays = new AbortController().signal

let folder: string
let good: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellarium-test-'))
  // The workers' folders of this file alone.
  vi.stubEnv('TMPDIR', folder)
  good = await file(await (await quarters({ width: 200, height: 100 })).webp().toBuffer())
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

const open: ThumbnailPool[] = []
afterEach(() => Promise.all(open.splice(0).map((pool) => pool.close())))

function openPool(options: Partial<ThumbnailPoolOptions> = {}): ThumbnailPool {
  const pool = openThumbnailPool({ workers: 1, jobTimeoutMs: 10_000, queueLimit: 10, log, ...options })
  open.push(pool)
  return pool
}

let count = 0
async function file(bytes: Buffer): Promise<string> {
  const path = join(folder, `source-${++count}`)
  await writeFile(path, bytes)
  return path
}

function job(source: string, asked: Partial<ThumbnailJob> = {}): ThumbnailJob {
  const types = ['image/jpeg', 'image/png', 'image/gif', 'image/webp']
  const target = join(folder, `target-${++count}`)
  return { source, target, width: 32, height: 32, method: 'scale', limits, types, stillFrame: 0, ...asked }
}

const does = (behaviour: string) => job('', { types: [behaviour] })
const workersRunning = () => process.getActiveResourcesInfo().filter((name) => name === 'ProcessWrap').length
const exists = (path: string) => stat(path).then(Boolean, () => false)
const refusal = (reason: string, message = /./) =>
  expect.objectContaining({ reason, message: expect.stringMatching(message) })

async function workerFolders(): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.startsWith('cellarium-worker-'))
}

/** What a pool could leave behind. */
async function traces() {
  return {
    folders: await workerFolders(),
    resources: process.getActiveResourcesInfo().filter((name) => /ProcessWrap|Pipe/.test(name)).length,
    descriptors: process.platform === 'linux' ? (await readdir('/proc/self/fd')).length : 0,
    listeners: getEventListeners(stays, 'abort').length,
  }
}

async function pidAt(path: string): Promise<number> {
  return vi.waitFor(async () => {
    const text = await readFile(path, 'utf8')
    expect(text).not.toBe('')
    return Number(text)
  }, 10_000)
}

/** Source: proc_pid_stat(5), the 19th field, counted behind the name. */
async function nicenessOf(folder: string): Promise<number> {
  const [, behind = ''] = (await readFile(`${folder}/stat`, 'utf8')).split(') ')
  return Number(behind.split(' ')[16])
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('thumbnails are made by a process of their own', () => {
  test('that starts with the first thumbnail and serves the next ones', async () => {
    const pool = openPool({ workers: 4 })
    expect(workersRunning()).toBe(0)
    for (const method of ['scale', 'crop'] as const) {
      const asked = job(good, { method })
      const made = await pool.generate(asked, stays)
      expect(made).toMatchObject({ kind: 'thumbnail', contentType: 'image/jpeg', width: 32 })
      expect(await sharp(asked.target).metadata()).toMatchObject({ width: made.width, height: made.height })
      expect(workersRunning()).toBe(1)
    }
  })

  test('as many at a time as there are workers', async () => {
    const pool = openPool({ workers: 2, workerFile: workerDouble })
    const made = await Promise.all(Array.from({ length: 6 }, () => pool.generate(does('work for a while'), stays)))
    expect(new Set(made.map(({ contentType }) => contentType)).size).toBe(2)
    expect(workersRunning()).toBe(2)
  })

  test('that ends when there has been nothing to do for a while', async () => {
    const before = await workerFolders()
    const pool = openPool({ idleMs: 50 })
    await pool.generate(job(good), stays)
    expect(workersRunning()).toBe(1)
    await vi.waitFor(() => expect(workersRunning()).toBe(0), 5000)
    await vi.waitFor(async () => expect(await workerFolders()).toEqual(before), 5000)
    expect(await pool.generate(job(good), stays)).toMatchObject({ kind: 'thumbnail' })
  })

  test("that sees nothing of the server's environment and folder", async () => {
    process.env['PGPASSWORD'] = 'secret'
    const { contentType } = await openPool({ workerFile: workerDouble }).generate(does('tell about itself'), stays)
    delete process.env['PGPASSWORD']
    const seen: { environment: string[]; folder: string; arguments: string[] } = JSON.parse(contentType)
    const own = ['MALLOC_ARENA_MAX', 'TMPDIR', 'UV_THREADPOOL_SIZE']
    expect(seen.environment.filter((name) => name !== 'SystemRoot').sort()).toEqual(own)
    expect(seen.folder).toMatch(/cellarium-worker-/)
    expect(seen.folder).not.toBe(process.cwd())
    // None of the server's own.
    expect(seen.arguments).toEqual(['--max-semi-space-size=1', '--max-old-space-size=128'])
  })

  test.runIf(process.platform === 'linux')(
    'in a process group of its own, first in line when memory runs out',
    async () => {
      const pool = openPool()
      await pool.generate(job(good), stays)
      const children = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')
      const [pid] = children.trim().split(' ')
      const group = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[4]
      expect(group).toBe(pid)
      expect(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('500\n')
    },
  )

  test.runIf(process.platform === 'linux')('that gives way to the server with all its threads', async () => {
    const pool = openPool({ niceness: 5 })
    await pool.generate(job(good), stays)
    const [pid] = (await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')).trim().split(' ')
    const threads = await readdir(`/proc/${pid}/task`)
    const nice = await Promise.all(threads.map(async (thread) => await nicenessOf(`/proc/${pid}/task/${thread}`)))
    expect(threads.length).toBeGreaterThan(5)
    expect(new Set(nice)).toEqual(new Set([(await nicenessOf('/proc/self')) + 5]))
  })

  test('that ends, with its folder, when the server is killed', async () => {
    const before = await workerFolders()
    const server = fork(new URL('../support/thumbnail-server.ts', import.meta.url), [good, join(folder, 'left')])
    await once(server, 'message')
    const during = (await workerFolders()).filter((name) => !before.includes(name))
    expect(during).toHaveLength(1)
    server.kill('SIGKILL')
    await vi.waitFor(async () => expect(await workerFolders()).toEqual(before), 10_000)
  })

  test('whose failure to start is a defect of the installation, told with its reason', async () => {
    const pool = openPool({ workerFile: new URL('./no-such-worker.ts', import.meta.url) })
    await expect(pool.generate(job(good), stays)).rejects.toThrow(
      /no-such-worker\.ts does not start: .*Cannot find module/s,
    )
    expect(workersRunning()).toBe(0)
  })
})

test('A process that is not ready in time is a machine with too much to do: callers are told to come back', async () => {
  const before = await workerFolders()
  // It starts no sooner than Node does.
  const pool = openPool({ startTimeoutMs: 1 })
  await expect(pool.generate(job(good), stays)).rejects.toEqual(refusal('limited', /try again later/))
  expect(workersRunning()).toBe(0)
  expect(await workerFolders()).toEqual(before)
})

describe('a bad file costs one answer', () => {
  test('when it is damaged, cut off, empty or a decompression bomb, and the worker goes on', async () => {
    const pool = openPool()
    const png = await noise({ width: 300, height: 300 }).png().toBuffer()
    const jpeg = await noise({ width: 300, height: 300 }).jpeg().toBuffer()
    const damaged = Buffer.from(png).fill(0xff, 500, 5000)
    for (const bytes of [damaged, png.subarray(0, 10_000), jpeg.subarray(0, 5000), Buffer.alloc(0)]) {
      const bad = job(await file(bytes))
      await expect(pool.generate(bad, stays)).rejects.toEqual(refusal('not_thumbnailable'))
      expect(await exists(bad.target)).toBe(false)
    }
    const bomb = job(await file(pngBomb(60_000, 60_000)))
    await expect(pool.generate(bomb, stays)).rejects.toEqual(refusal('too_large', /60000 × 60000/))
    expect(await pool.generate(job(good), stays)).toMatchObject({ kind: 'thumbnail' })
    expect(workersRunning()).toBe(1)
  })

  test('when decoding it takes more memory than allowed: another worker takes over', async () => {
    const pool = openPool({ memoryLimitBytes: 160 * 1024 ** 2 })
    const bytes = interlacedPngBomb(16_000, 16_000)
    expect(bytes.length).toBeLessThan(500_000)
    const bomb = job(await file(bytes), { limits: { ...limits, maxPixels: 1_000_000_000 } })
    await expect(pool.generate(bomb, stays)).rejects.toEqual(refusal('not_thumbnailable', /too much memory/))
    expect(await exists(bomb.target)).toBe(false)
    expect(await pool.generate(job(good), stays)).toMatchObject({ kind: 'thumbnail' })
  })

  test.each(['crash', 'exit'])('when the decoder ends on it (%s): another worker takes over', async (behaviour) => {
    const pool = openPool({ workerFile: workerDouble })
    const bad = does(behaviour)
    await expect(pool.generate(bad, stays)).rejects.toEqual(refusal('not_thumbnailable', /decoding this file failed/))
    expect(await exists(bad.target)).toBe(false)
    expect(await pool.generate(does('answer at once'), stays)).toMatchObject({ kind: 'thumbnail' })
  })

  test.each(['work for ever', 'spin for ever'])(
    'when it takes too long (%s): another worker takes over',
    async (behaviour) => {
      const pool = openPool({ workerFile: workerDouble, jobTimeoutMs: 1000 })
      const bad = does(behaviour)
      const [outcome, pid] = await Promise.all([
        pool.generate(bad, stays).catch((error: unknown) => error),
        pidAt(bad.target),
      ])
      expect(outcome).toEqual(refusal('not_thumbnailable', /longer than 1000 ms/))
      expect(isRunning(pid)).toBe(false)
      expect(await exists(bad.target)).toBe(false)
      expect(await pool.generate(does('answer at once'), stays)).toMatchObject({ kind: 'thumbnail' })
    },
  )

  test('when somebody kills the worker while it works on it', async () => {
    const pool = openPool({ workerFile: workerDouble })
    const unlucky = does('work for ever')
    const [outcome, pid] = await Promise.all([
      pool.generate(unlucky, stays).catch((error: unknown) => error),
      pidAt(unlucky.target).then((pid) => (process.kill(pid, 'SIGKILL'), pid)),
    ])
    expect(outcome).toEqual(refusal('not_thumbnailable', /failed/))
    expect(outcome).toHaveProperty('cause.message', expect.stringContaining('SIGKILL'))
    expect(isRunning(pid)).toBe(false)
    expect(await pool.generate(does('answer at once'), stays)).toMatchObject({ kind: 'thumbnail' })
  })

  test('and no answer at all when the worker is killed while it has nothing to do', async () => {
    const pool = openPool({ workerFile: workerDouble })
    const { contentType: pid } = await pool.generate(does('answer at once'), stays)
    process.kill(Number(pid), 'SIGKILL')
    await vi.waitFor(() => expect(workersRunning()).toBe(0), 5000)
    expect(await pool.generate(does('answer at once'), stays)).toMatchObject({ kind: 'thumbnail' })
  })

  test("but what goes wrong on the server's side is not blamed on the file", async () => {
    const pool = openPool()
    const noFolder = job(good, { target: join(folder, 'no-such-folder', 'target') })
    await expect(pool.generate(noFolder, stays)).rejects.toThrow('ENOENT')
    await expect(pool.generate(job(join(folder, 'no-such-file')), stays)).rejects.toThrow('ENOENT')
  })
})

describe('the queue', () => {
  test('refuses what is too much and says when to come back', async () => {
    const pool = openPool({ workerFile: workerDouble, queueLimit: 2 })
    const asked = Array.from({ length: 5 }, () => pool.generate(does('work for a while'), stays))
    const outcomes = await Promise.allSettled(asked)
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ])
    expect(outcomes[4]).toMatchObject({ reason: { reason: 'limited', options: { retryAfterMs: 2000 } } })
  })

  test('refuses what has waited for too long', async () => {
    const pool = openPool({ workerFile: workerDouble, longestWaitMs: 300 })
    const leaving = new AbortController()
    const running = pool.generate(does('work for ever'), leaving.signal).catch((error: unknown) => error)
    await expect(pool.generate(does('answer at once'), stays)).rejects.toMatchObject({
      reason: 'limited',
      options: { retryAfterMs: 2000 },
    })
    expect(pool.waiting).toBe(0)
    leaving.abort(new Error('left'))
    expect(await running).toHaveProperty('message', 'left')
    expect(await pool.generate(does('answer at once'), stays)).toMatchObject({ kind: 'thumbnail' })
  })

  test('gives the place of a caller that left to the next one', async () => {
    const pool = openPool({ workerFile: workerDouble, queueLimit: 1 })
    const first = new AbortController()
    const second = new AbortController()
    const running = pool.generate(does('work for ever'), first.signal).catch((error: unknown) => error)
    const waiting = pool.generate(does('work for ever'), second.signal)
    second.abort(new Error('the second caller left'))
    await expect(waiting).rejects.toThrow('the second caller left')
    const next = pool.generate(does('answer at once'), stays)
    first.abort(new Error('the first caller left'))
    expect(await running).toHaveProperty('message', 'the first caller left')
    expect(await next).toMatchObject({ kind: 'thumbnail' })
  })

  test('gives the worker of a caller that left to the next one', async () => {
    const pool = openPool({ workerFile: workerDouble })
    const left = does('spin for ever')
    const caller = new AbortController()
    const running = pool.generate(left, caller.signal).catch((error: unknown) => error)
    const pid = await pidAt(left.target)
    caller.abort(new Error('the caller left'))
    expect(await running).toHaveProperty('message', 'the caller left')
    expect(isRunning(pid)).toBe(false)
    expect(await exists(left.target)).toBe(false)
    expect(await pool.generate(does('answer at once'), stays)).toMatchObject({ kind: 'thumbnail' })
  })

  test('keeps the worker of a caller that left shortly before the end, and nothing of the result', async () => {
    const pool = openPool({ workerFile: workerDouble })
    const left = does('work for a while')
    const caller = new AbortController()
    const running = pool.generate(left, caller.signal).catch((error: unknown) => error)
    const pid = await pidAt(left.target)
    caller.abort(new Error('the caller left'))
    expect(await running).toHaveProperty('message', 'the caller left')
    expect(await exists(left.target)).toBe(false)
    expect(await pool.generate(does('answer at once'), stays)).toHaveProperty('contentType', String(pid))
  })

  test('takes nothing for a caller that has left already', async () => {
    const pool = openPool()
    await expect(pool.generate(job(good), AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
    expect(workersRunning()).toBe(0)
  })
})

describe('closing', () => {
  test('refuses the jobs under way and those that wait', async () => {
    const pool = openPool({ workerFile: workerDouble })
    const first = does('work for ever')
    const asked = [pool.generate(first, stays), pool.generate(does('work for ever'), stays)]
    const outcomes = Promise.allSettled(asked)
    await pidAt(first.target)
    await pool.close()
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: refusal('limited', /stopping/) })
    }
    await expect(pool.generate(job(good), stays)).rejects.toEqual(refusal('limited', /stopping/))
  })

  test('leaves no process, folder, handle or descriptor behind, also after trouble', async () => {
    const before = await traces()
    const pool = openThumbnailPool({ workers: 2, jobTimeoutMs: 200, queueLimit: 100, log, workerFile: workerDouble })
    const behaviours = ['answer at once', 'crash', 'spin for ever', 'work for a while', 'exit', 'answer with a defect']
    await Promise.allSettled(behaviours.map((behaviour) => pool.generate(does(behaviour), stays)))
    await pool.close()
    await vi.waitFor(async () => expect(await traces()).toEqual(before), 5000)
  })

  test('and a hundred thumbnails leave the memory of the server as it was', async () => {
    const pool = openPool({ workers: 2, queueLimit: 100 })
    const source = await file(await noise({ width: 1000, height: 1000 }).jpeg().toBuffer())
    await pool.generate(job(source), stays)
    const before = process.memoryUsage.rss()
    await Promise.all(Array.from({ length: 100 }, () => pool.generate(job(source), stays)))
    expect(process.memoryUsage.rss() - before).toBeLessThan(20 * 1024 ** 2)
  })
})
