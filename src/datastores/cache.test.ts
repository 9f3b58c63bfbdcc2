import { createHash, randomBytes } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { openMetrics } from '../lib/metrics.ts'
import { type CacheableObject, type CacheLevel, ObjectCache } from './cache.ts'
import { ObjectMissing, type OpenObject } from './datastore.ts'
import type { Place } from './datastores.ts'
import { type CacheOptions, inMemory } from './memory.ts'

const OPTIONS: CacheOptions = {
  enabled: true,
  maxSizeBytes: 1000,
  maxFileSizeBytes: 400,
  trackedMinutes: 30,
  minDownloads: 2,
  minCacheTimeSeconds: 30,
  minEvictedTimeSeconds: 60,
}

/** A cache in front of a datastore whose openings are counted, on a clock that stands still. */
function setUp(options: Partial<CacheOptions> = {}, levels: readonly CacheLevel[] = []) {
  const stored = new Map<string, Buffer>()
  const opened: string[] = []
  const state = { now: 1_000_000, hold: undefined as Promise<void> | undefined }
  const open = async ({ location }: Place): Promise<OpenObject> => {
    opened.push(location)
    await state.hold
    const bytes = stored.get(location)
    if (!bytes) throw new ObjectMissing('main', location)
    return { ...inMemory(bytes), bytes: undefined }
  }
  const metrics = openMetrics({ version: '1' })
  const clock = { now: () => state.now }
  const cache = new ObjectCache({ datastores: { open }, levels, metrics, clock }, { ...OPTIONS, ...options })
  const store = (size: number): CacheableObject => {
    const bytes = randomBytes(size)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    stored.set(sha256, bytes)
    return { sha256, size, datastore: 'main', location: sha256 }
  }
  const read = async (object: CacheableObject): Promise<Buffer> => {
    await using found = await cache.open(object)
    expect(found.size).toBe(stored.get(object.sha256)?.length)
    const chunks: Uint8Array[] = []
    for await (const chunk of found.read({ start: 0, end: found.size - 1 })) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(object.sha256)
    return bytes
  }
  const counted = () => ({
    hits: metrics.cacheHits.of('media').value,
    misses: metrics.cacheMisses.of('media').value,
    bytes: metrics.cacheBytes.of('media').value,
  })
  const minutes = (count: number) => void (state.now += count * 60_000)
  const seconds = (count: number) => void (state.now += count * 1000)
  return { cache, store, stored, read, opened, state, counted, minutes, seconds }
}

const hold = (state: { hold: Promise<void> | undefined }) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  state.hold = promise
  return resolve
}

test('an object is kept from the second request on, and then given from memory', async () => {
  const { cache, store, read, opened, counted } = setUp()
  const object = store(100)
  await read(object)
  expect(cache.has(object)).toBe(false)
  expect(cache.get(object)).toBeUndefined()
  await read(object)
  expect(cache.has(object)).toBe(true)
  for (let time = 0; time < 3; time++) await read(object)
  expect(opened).toHaveLength(2)
  expect(counted()).toEqual({ hits: 3, misses: 2, bytes: 100 })
  expect(cache.get(object)?.bytes).toHaveLength(100)
})

test('requests count together only within trackedMinutes', async () => {
  const { cache, store, read, minutes } = setUp({ minDownloads: 3, trackedMinutes: 10 })
  const object = store(100)
  await read(object)
  minutes(5)
  await read(object)
  minutes(6)
  await read(object)
  await read(object)
  expect(cache.has(object)).toBe(false)
  await read(object)
  expect(cache.has(object)).toBe(true)
})

test('what is too large, empty, or asked for while the cache is off is not kept', async () => {
  const { cache, store, read, counted } = setUp({ minDownloads: 0 })
  for (const size of [0, 401]) {
    const object = store(size)
    await read(object)
    await read(object)
    expect(cache.has(object)).toBe(false)
  }
  const kept = store(400)
  await read(kept)
  expect(cache.has(kept)).toBe(true)
  expect(counted().misses).toBe(1)
  cache.configure({ ...OPTIONS, enabled: false })
  expect(counted().bytes).toBe(0)
  await read(kept)
  expect(cache.has(kept)).toBe(false)
})

test('there are never more bytes than maxSizeBytes: what was used longest ago makes room, after minCacheTimeSeconds', async () => {
  const { cache, store, read, counted, seconds } = setUp({ minDownloads: 1 })
  const [first, second, third] = [store(400), store(400), store(400)]
  await read(first)
  await read(second)
  seconds(29)
  await read(third)
  expect(
    [first, second, third].map((object) => cache.has(object)),
    'too early',
  ).toEqual([true, true, false])
  seconds(1)
  await read(first)
  await read(third)
  expect([first, second, third].map((object) => cache.has(object))).toEqual([true, false, true])
  expect(counted().bytes).toBe(800)
})

test('what made room stays out for minEvictedTimeSeconds', async () => {
  const { cache, store, read, seconds } = setUp({ minDownloads: 1, maxSizeBytes: 400, minCacheTimeSeconds: 0 })
  const [first, second] = [store(400), store(400)]
  await read(first)
  await read(second)
  seconds(59)
  await read(first)
  expect(cache.has(first)).toBe(false)
  seconds(1)
  await read(first)
  expect(cache.has(first)).toBe(true)
})

test('a smaller limit counts at once', async () => {
  const { cache, store, read, counted } = setUp({ minDownloads: 1 })
  const objects = [store(400), store(200), store(400)]
  for (const object of objects) await read(object)
  cache.configure({ ...OPTIONS, maxSizeBytes: 600 })
  expect(objects.map((object) => cache.has(object))).toEqual([false, true, true])
  expect(counted().bytes).toBe(600)
  cache.configure({ ...OPTIONS, maxFileSizeBytes: 300 })
  expect(objects.map((object) => cache.has(object))).toEqual([false, true, false])
})

test('those who ask at once share one reading, and its failure, after which it is tried anew', async () => {
  const { store, stored, read, opened, state } = setUp({ minDownloads: 1 })
  const object = store(100)
  let go = hold(state)
  const reads = Array.from({ length: 20 }, () => read(object))
  go()
  await Promise.all(reads)
  expect(opened).toHaveLength(1)

  const lost = store(100)
  const bytes = stored.get(lost.sha256)
  stored.delete(lost.sha256)
  go = hold(state)
  const failing = Array.from({ length: 5 }, () => read(lost))
  go()
  for (const { status } of await Promise.allSettled(failing)) expect(status).toBe('rejected')
  expect(opened).toHaveLength(2)
  if (bytes) stored.set(lost.sha256, bytes)
  await read(lost)
})

test('what is dropped is gone, also what is being read', async () => {
  const { cache, store, read, opened, state, counted } = setUp({ minDownloads: 1 })
  const [first, second] = [store(100), store(100)]
  await read(first)
  await read(second)
  cache.drop([first.sha256])
  expect([first, second].map((object) => cache.has(object))).toEqual([false, true])
  expect(counted().bytes).toBe(100)

  const go = hold(state)
  const late = read(first)
  await vi.waitFor(() => expect(opened).toHaveLength(3))
  cache.drop([first.sha256])
  go()
  await late
  expect(cache.has(first)).toBe(false)
  cache.drop('all')
  expect(cache.has(second)).toBe(false)
  expect(counted().bytes).toBe(0)
})

test('an object that is shorter than its record says is not kept, and its opener sees that', async () => {
  const { cache, store, stored } = setUp({ minDownloads: 1 })
  const object = store(100)
  stored.set(object.sha256, randomBytes(40))
  await using opened = await cache.open(object)
  expect(opened.size).toBe(40)
  expect(cache.has(object)).toBe(false)
})

/** A place that instances share, with whatever is put into it. */
function sharedLevel() {
  const kept = new Map<string, Buffer>()
  const level: CacheLevel = {
    takes: (size) => size <= 500,
    get: async (sha256) => kept.get(sha256),
    put: (sha256, bytes) => void kept.set(sha256, bytes),
    drop: (sha256s) => (sha256s === 'all' ? kept.clear() : sha256s.forEach((sha256) => kept.delete(sha256))),
  }
  return { kept, level }
}

test('further levels are asked before the datastore, filled from it, and dropped with it', async () => {
  const [near, far] = [sharedLevel(), sharedLevel()]
  const { cache, store, stored, read, opened } = setUp({}, [near.level, far.level])
  const object = store(100)
  await read(object)
  expect([near.kept.size, opened.length], 'once is not enough').toEqual([0, 1])
  await read(object)
  expect([near.kept.has(object.sha256), far.kept.has(object.sha256)]).toEqual([true, true])
  cache.drop([object.sha256])
  expect([near.kept.size, far.kept.size]).toEqual([0, 0])

  const known = store(100)
  far.kept.set(known.sha256, stored.get(known.sha256) ?? Buffer.alloc(0))
  await read(known)
  await read(known)
  expect(cache.has(known)).toBe(true)
  expect(opened, 'its datastore was not asked').toHaveLength(2)
})

test('further levels may take what is too large for memory, and are not asked for what is too large for them', async () => {
  const { kept, level } = sharedLevel()
  const { cache, store, read, opened } = setUp({}, [level])
  const [large, larger] = [store(500), store(501)]
  for (const object of [large, larger]) for (let time = 0; time < 3; time++) await read(object)
  expect([...kept.keys()]).toEqual([large.sha256])
  expect([cache.has(large), cache.has(larger)]).toEqual([false, false])
  expect(opened).toHaveLength(2 + 3)
})

test('what a level says is only taken if it is the object', async () => {
  const { kept, level } = sharedLevel()
  const { store, read, opened } = setUp({ minDownloads: 1 }, [level])
  for (const lie of [randomBytes(100), randomBytes(99), Buffer.alloc(0)]) {
    const object = store(100)
    kept.set(object.sha256, lie)
    await read(object)
  }
  expect(opened).toHaveLength(3)
})
