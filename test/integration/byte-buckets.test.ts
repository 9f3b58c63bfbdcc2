import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type BucketSize, LocalBuckets } from '../../src/coordination/byte-buckets.ts'
import { Redis } from '../../src/coordination/redis/redis.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { redisConfig } from '../support/config.ts'
import { recordingLog } from '../support/log.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { describeWith } from '../support/services.ts'

/** Hardly anything drains while a test runs; and what does makes no difference, since no number of bytes fills it to the brim. */
const STANDING: BucketSize = { capacityBytes: 999.5, drainBytesPerMinute: 0.01, overflowLimitBytes: 100 }

describeWith('redis-server', 'Buckets in Redis', () => {
  let server: RedisServer
  beforeAll(async () => void (server = await startRedis()))
  beforeEach(async () => void (await server.ask('FLUSHALL')))
  afterAll(() => server[Symbol.asyncDispose]())

  test('are shared by all instances of a repository, and by no other', async () => {
    await using one = await open(server)
    await using other = await open(server)
    await using stranger = await open(server, { repository: 'another' })
    expect(await one.buckets.take('alice', 600, STANDING)).toBe(0)
    expect(await other.buckets.take('alice', 600, STANDING)).toBeGreaterThan(0)
    await other.buckets.add('alice', 600, STANDING)
    expect(await one.buckets.take('alice', 0, STANDING)).toBeGreaterThan(0)
    expect(await one.buckets.take('bob', 600, STANDING)).toBe(0)
    expect(await stranger.buckets.take('alice', 600, STANDING)).toBe(0)
  })

  test('hold no more however many take at once', async () => {
    await using one = await open(server)
    await using other = await open(server)
    const size = { ...STANDING, capacityBytes: 1000.5, overflowLimitBytes: 0 }
    const taking = Array.from({ length: 40 }, (_, index) =>
      (index % 2 === 0 ? one : other).buckets.take('alice', 100, size),
    )
    const taken = (await Promise.all(taking)).filter((waitMs) => waitMs === 0)
    expect(taken).toHaveLength(10)
  })

  test('drain, and are gone from Redis when they are empty', async () => {
    await using one = await open(server)
    const quick = { capacityBytes: 1000, drainBytesPerMinute: 60_000, overflowLimitBytes: 0 }
    expect(await one.buckets.take('alice', 1000, quick)).toBe(0)
    expect(await one.buckets.take('alice', 1000, quick)).toBeGreaterThan(0)
    await vi.waitFor(async () => expect(await one.buckets.take('alice', 1000, quick)).toBe(0), { timeout: 20_000 })
    await vi.waitFor(async () => expect(await server.ask('DBSIZE')).toContain(':0\r\n'), { timeout: 20_000 })
  })

  test('have keys without user ids in them, which end', async () => {
    await using one = await open(server)
    await one.buckets.take('user @alice:example.org', 600, STANDING)
    const [, key = ''] = /(cellarium:bytes:test:[0-9a-f]{64})\r/.exec(await server.ask('KEYS', '*')) ?? []
    const left = Number(/:(-?\d+)/.exec(await server.ask('PTTL', key))?.[1])
    expect(left).toBeGreaterThan(3_000_000_000)
    expect(left).toBeLessThanOrEqual(3_600_001_000)
  })

  test('reckon as those of a process do', async () => {
    await using one = await open(server)
    const step = fc.record({
      how: fc.constantFrom('take', 'take', 'add'),
      key: fc.constantFrom('a', 'b'),
      bytes: fc.oneof(fc.nat(300), fc.constantFrom(0, 999, 1000, 1099, 1100, 5_000_000_000)),
    })
    let [round, refused] = [0, 0]
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const local = new LocalBuckets({ clock: { now: () => 0 } })
        round++
        for (const { how, key, bytes } of steps) {
          const name = `${round} ${key}`
          if (how === 'add') {
            await Promise.all([local.add(name, bytes, STANDING), one.buckets.add(name, bytes, STANDING)])
          } else {
            const expected = await local.take(name, bytes, STANDING)
            const waitMs = await one.buckets.take(name, bytes, STANDING)
            if (expected > 0) refused++
            // The time that the test has taken has gone by in Redis.
            expect([waitMs > 0, Math.abs(waitMs - expected) <= 600_000]).toEqual([expected > 0, true])
          }
        }
      }),
      { numRuns: 50 },
    )
    expect(refused).toBeGreaterThan(20)
  })
})

describeWith('redis-server', 'A Redis', () => {
  test('that dies leaves each instance with what it let through itself, and fails nothing', async () => {
    await using server = await startRedis()
    await using one = await open(server)
    await using other = await open(server)
    expect(await one.buckets.take('alice', 1000, STANDING)).toBe(0)
    await one.buckets.add('bob', 1000, STANDING)
    await server.kill()
    await vi.waitFor(() => expect([one.isUp(), other.isUp()]).toEqual([false, false]), { timeout: 15_000 })
    expect(await one.buckets.take('alice', 1, STANDING)).toBeGreaterThan(0)
    expect(await one.buckets.take('bob', 1, STANDING)).toBeGreaterThan(0)
    expect(await other.buckets.take('alice', 1000, STANDING)).toBe(0)
    expect(await other.buckets.take('alice', 1, STANDING)).toBeGreaterThan(0)
  })

  test('that hangs costs a moment, and the process counts by itself', async () => {
    await using server = await startRedis()
    await using one = await open(server, { timeoutMs: 250 })
    server.signal('SIGSTOP')
    expect(await one.buckets.take('alice', 1000, STANDING)).toBe(0)
    expect(await one.buckets.take('alice', 1, STANDING)).toBeGreaterThan(0)
    server.signal('SIGCONT')
  })

  test('that allows no scripts is as none', async () => {
    const password = 'secret'
    await using server = await startRedis({ options: ['--requirepass', password], password })
    await server.ask('ACL', 'SETUSER', 'limited', 'on', `>${password}`, '~*', '&*', '+@all', '-eval')
    await using one = await open(server, { user: 'limited', password })
    expect(await one.buckets.take('alice', 1000, STANDING)).toBe(0)
    expect(await one.buckets.take('alice', 1, STANDING)).toBeGreaterThan(0)
    expect(one.isUp()).toBe(true)
  })
})

describe('Without Redis', () => {
  test('each process counts by itself', async () => {
    const { log } = recordingLog()
    const config = { ...redisConfig([]), enabled: false }
    await using redis = new Redis(config, {
      repository: 'test',
      log,
      metrics: openMetrics({ version: 'test' }),
      clock: { now: () => 0 },
    })
    await redis.configure(config)
    expect(await redis.buckets.take('alice', 1000, STANDING)).toBe(0)
    expect(await redis.buckets.take('alice', 1, STANDING)).toBeGreaterThan(0)
  })
})

interface Opened {
  readonly repository?: string
  readonly timeoutMs?: number
  readonly user?: string
  readonly password?: string
}

/** With more patience than a server in use has: a machine that is busy with other tests is no Redis that hangs. */
async function open(server: Pick<RedisServer, 'addr'>, given: Opened = {}) {
  const { repository = 'test', timeoutMs = 5000, user = '', password = '' } = given
  const config = redisConfig([server], { username: user, password })
  const { log } = recordingLog()
  const metrics = openMetrics({ version: 'test' })
  const redis = new Redis(config, { repository, log, metrics, timeoutMs, clock: { now: () => 0 } })
  await redis.configure(config)
  return {
    buckets: redis.buckets,
    isUp: () => metrics.redisUp.of(server.addr, 'cache').state === 1,
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  }
}
