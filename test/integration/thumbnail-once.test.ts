import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { LocalNotifier, type Notifier } from '../../src/coordination/notifier.ts'
import { type Database, openDatabase } from '../../src/db/connect.ts'
import { takeLease } from '../../src/db/leases.ts'
import type { ThumbnailRecord } from '../../src/db/thumbnails.ts'
import { Refused } from '../../src/lib/errors.ts'
import { type MakingOptions, ThumbnailMaking } from '../../src/thumbnails/once.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const log = pino({ level: 'silent' })
const stays = new AbortController().signal
const pool = { maxConnections: 10, maxIdleConnections: 2 }
/** A loaded machine takes its time. */
const PATIENT = { timeout: 20_000 }

/** Instances that share a database, and a thumbnail that is made as the test says; doubles, for its timing and its faults. */
function instances(db: Database, options: Partial<MakingOptions> = {}) {
  const notifier = new LocalNotifier({ log })
  const work = randomUUID()
  let stored: ThumbnailRecord | undefined
  let begun = 0
  const open = (own: Pick<Notifier, 'notify' | 'on'> = notifier, more: Partial<MakingOptions> = {}) => {
    const parts = { db, notifier: own, log, newToken: () => randomBytes(8).toString('hex') }
    const defaults = { atATime: 2, waiting: 10, longestWaitMs: 60_000, leaseMs: 3000 }
    const making = new ThumbnailMaking(parts, { ...defaults, ...options, ...more })
    return (make: (signal: AbortSignal) => Promise<void>, signal = stays) =>
      making.once(
        {
          work,
          find: async () => stored,
          make: async (ending) => {
            begun++
            await make(ending)
            return (stored = record())
          },
        },
        signal,
      )
  }
  return { open, begun: () => begun }
}

const record = (): ThumbnailRecord => ({
  sha256: randomBytes(32).toString('hex'),
  size: 1,
  datastore: 'media',
  location: randomUUID(),
  contentType: 'image/png',
  variant: 'still',
  usedAt: 0,
})
const deaf = { notify: () => {}, on: () => () => {} }
const refused = () => new Refused('not_thumbnailable', 'this file is text')
const later = () => new Refused('storage_unavailable', 'the disk is full')
const started = async (making: { begun: () => number }, count = 1) =>
  await vi.waitFor(() => expect(making.begun()).toBe(count), PATIENT)

describeWith('postgres', 'Instances that want the same thumbnail', () => {
  let db: Database
  const cleanup = new AsyncDisposableStack()
  beforeAll(async () => {
    const { url } = cleanup.use(await freshDatabase())
    db = cleanup.use(await openDatabase({ sqlite: '', postgres: url, pool }, 'server', log))
  })
  afterAll(() => cleanup.disposeAsync())

  const leases = async () => await db.read.selectFrom('leases').select('name').execute()

  test.each([
    ['that hear each other', undefined],
    ['that hear nothing', deaf],
  ])('have one make it while the others wait (%s)', async (_, notifier) => {
    const making = instances(db)
    const gate = Promise.withResolvers<void>()
    const all = Array.from({ length: 5 }, () => making.open(notifier)).flatMap((ask) =>
      Array.from({ length: 4 }, () => ask(() => gate.promise)),
    )
    await started(making)
    await pause(1500)
    gate.resolve()
    expect(new Set(await Promise.all(all)).size).toBe(1)
    expect(making.begun()).toBe(1)
    await vi.waitFor(async () => expect(await leases()).toEqual([]), PATIENT)
  })

  test('are told by the one that tried that it cannot be made', async () => {
    const making = instances(db)
    const gate = Promise.withResolvers<void>()
    const all = Array.from({ length: 5 }, () => making.open()(() => gate.promise))
    await started(making)
    await pause(500)
    gate.reject(refused())
    for (const outcome of await Promise.allSettled(all)) {
      expect(outcome).toMatchObject({ reason: { reason: 'not_thumbnailable', message: 'this file is text' } })
    }
    expect(making.begun()).toBe(1)
    await expect(making.open()(() => Promise.reject(refused()))).rejects.toThrow('text')
    expect(making.begun(), 'who asks later tries').toBe(2)
  })

  test('try themselves when they did not hear that, all at once after two have failed', async () => {
    const making = instances(db)
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
    let next = 0
    const all = gates.map(() => making.open(deaf)(() => gates[next++]?.promise ?? Promise.reject(refused())))
    const outcomes = Promise.allSettled(all)
    await started(making)
    gates[0]?.reject(refused())
    await started(making, 2)
    gates[1]?.reject(refused())
    await started(making, 5)
    for (const { reject } of gates) reject(refused())
    expect(new Set((await outcomes).map(({ status }) => status))).toEqual(new Set(['rejected']))
    expect(making.begun(), 'each tried once').toBe(5)
  })

  test('try themselves when it failed for a reason of that instance', async () => {
    const making = instances(db)
    const gate = Promise.withResolvers<void>()
    const first = making.open()(() => gate.promise)
    await started(making)
    const second = making.open()(async () => {})
    await pause(500)
    gate.reject(later())
    await expect(first).rejects.toThrow('the disk is full')
    expect(await second).toMatchObject({ contentType: 'image/png' })
  })

  test('go on when everybody left where it was made', async () => {
    const making = instances(db)
    const leaving = new AbortController()
    const left = making.open()(
      (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      leaving.signal,
    )
    await started(making)
    const stays = making.open()(async () => {})
    await pause(500)
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('the caller hung up')
    expect(await stays).toMatchObject({ contentType: 'image/png' })
  })

  test('make it when the lease of one that died has ended', async () => {
    const making = instances(db, { leaseMs: 1500 })
    const gate = Promise.withResolvers<void>()
    const first = making.open()(() => gate.promise)
    await started(making)
    const [lease] = await leases()
    // Nobody renews this one.
    await db.read.deleteFrom('leases').execute()
    await db.write(takeLease, { name: lease?.name ?? '', token: 'of one that died', ms: 1500 })
    const began = performance.now()
    expect(await making.open()(async () => {})).toMatchObject({ contentType: 'image/png' })
    expect(performance.now() - began).toBeGreaterThan(500)
    gate.resolve()
    await first
  })

  test('wait for whoever has the lease when they have lost it', async () => {
    const making = instances(db, { leaseMs: 900 })
    const ending = Promise.withResolvers<void>()
    const first = making.open()((signal) => {
      signal.addEventListener('abort', () => ending.reject(signal.reason as Error))
      return ending.promise
    })
    await started(making)
    const [lease] = await leases()
    // As if it had stood still for longer than the lease lasts.
    await db.read.deleteFrom('leases').execute()
    const second = making.open(undefined, { leaseMs: 60_000 })(() => pause(2500))
    await started(making, 2)
    await expect(ending.promise).rejects.toThrow(`${lease?.name} was taken by another instance`)
    expect(await first).toBe(await second)
    expect(making.begun()).toBe(2)
  })

  test('do not wait for ever', async () => {
    const making = instances(db)
    const gate = Promise.withResolvers<void>()
    const first = making.open()(() => gate.promise)
    await started(making)
    await expect(making.open(undefined, { longestWaitMs: 700 })(async () => {})).rejects.toMatchObject({
      reason: 'limited',
      options: { retryAfterMs: 2000 },
    })
    gate.resolve()
    await first
  })
})

describe('A server on SQLite', () => {
  test('takes no lease', async () => {
    await using folder = await temporaryFolder()
    await using db = await openDatabase({ sqlite: `${folder.path}/db`, postgres: '', pool }, 'server', log)
    const making = instances(db)
    const gate = Promise.withResolvers<void>()
    const ask = making.open()
    const all = [ask(() => gate.promise), ask(() => gate.promise)]
    await started(making)
    expect(await db.read.selectFrom('leases').select('name').execute()).toEqual([])
    gate.resolve()
    expect(new Set(await Promise.all(all)).size).toBe(1)
  })
})
