import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Refused } from '../../src/lib/errors.ts'
import type { Generated, ThumbnailJob } from '../../src/thumbnails/job.ts'
import { openThumbnailPool, type ThumbnailPool } from '../../src/thumbnails/pool.ts'
import { NAMES, readAnimation } from '../support/animations.ts'
import { temporaryFolder } from '../support/folder.ts'
import { seededRandom } from '../support/random.ts'

const MUTATIONS = 100
const types = ['image/png', 'image/apng', 'image/gif', 'image/webp']
const random = seededRandom()

const cleanup = new AsyncDisposableStack()
let folder: string
let pool: ThumbnailPool
beforeAll(async () => {
  folder = cleanup.use(await temporaryFolder()).path
  const log = pino({ level: 'silent' })
  pool = openThumbnailPool({ workers: 1, jobTimeoutMs: 20_000, queueLimit: 10, log })
  cleanup.defer(() => pool.close())
})
afterAll(() => cleanup.disposeAsync())

/** What came of it: a thumbnail, or the refusal of the file. Anything else, such as a defect or an outage, is thrown. */
async function outcome(bytes: Buffer, changes: Partial<ThumbnailJob> = {}): Promise<Generated['kind'] | 'refused'> {
  const source = join(folder, 'source')
  await writeFile(source, bytes)
  const job: ThumbnailJob = {
    source,
    target: join(folder, 'target'),
    width: 32,
    height: 32,
    method: 'crop',
    limits: { maxSourceBytes: 0, maxPixels: 1_000_000 },
    types,
    stillFrame: 0.5,
    ...changes,
  }
  try {
    return (await pool.generate(job, new AbortController().signal)).kind
  } catch (error) {
    if (error instanceof Refused && ['not_thumbnailable', 'too_large'].includes(error.reason)) return 'refused'
    throw error
  }
}

const moving = { animateAs: 'image/webp' } as const

describe.each(NAMES)('An animation (%s)', (name) => {
  test('that is cut off anywhere gives a thumbnail or is refused, and the next one is served', async () => {
    const bytes = await readAnimation(name)
    for (let tenth = 0; tenth < 10; tenth++) {
      const part = bytes.subarray(0, Math.floor((bytes.length * tenth) / 10))
      for (const changes of [moving, {}]) expect(await outcome(part, changes)).toMatch(/^(thumbnail|refused)$/)
    }
    expect(await outcome(bytes, moving)).toBe('thumbnail')
  })

  test(`that was damaged in ${MUTATIONS} ways does no more (seed ${random.seed})`, async () => {
    const bytes = await readAnimation(name)
    const seen = new Set<string>()
    for (let mutation = 0; mutation < MUTATIONS; mutation++) {
      seen.add(await outcome(damage(bytes), mutation % 2 ? moving : {}))
    }
    expect([...seen].filter((kind) => kind !== 'thumbnail' && kind !== 'refused')).toEqual([])
    expect(await outcome(bytes, moving)).toBe('thumbnail')
  }, 120_000)
})

/** Up to eight bytes changed. Not the first ones: another type would be another test. */
function damage(bytes: Buffer): Buffer {
  const damaged = Buffer.from(bytes)
  for (let change = random.below(8); change >= 0; change--) {
    damaged.writeUInt8(random.below(256), 16 + random.below(bytes.length - 16))
  }
  return damaged
}
