import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { mainSchema } from '../../src/config/schema.ts'
import { Redis } from '../../src/coordination/redis/redis.ts'
import type { Call } from '../../src/http/call.ts'
import { RequestLimits } from '../../src/http/request-limits.ts'
import type { Route } from '../../src/http/route.ts'
import { Refused } from '../../src/lib/errors.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { redisConfig } from '../support/config.ts'
import { recordingLog } from '../support/log.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { describeWith } from '../support/services.ts'

/** Hardly anything drains while a test runs. */
const rateLimit = mainSchema.shape.rateLimit.parse({
  requestsPerSecond: 0.001,
  burst: 10,
  perCaller: { requestsPerSecond: 0.001, burst: 100 },
})
const route = { who: 'user' } as Route

describeWith('redis-server', 'Limits on requests of two instances with Redis', () => {
  let server: RedisServer
  beforeAll(async () => void (server = await startRedis()))
  afterAll(() => server[Symbol.asyncDispose]())

  test('count what both let through, but for what they are about to tell each other', async () => {
    await using one = await open(server)
    await using other = await open(server)
    const admitted = async (userId: string) => {
      let count = 0
      for (let turn = 0; turn < 300; turn++) {
        if (ask(turn % 2 === 0 ? one.limits : other.limits, userId)) count++
        if (turn % 10 === 0) await one.settled()
      }
      return count
    }
    const count = await admitted('@alice:example.org')
    expect(count).toBeGreaterThanOrEqual(100)
    expect(count).toBeLessThanOrEqual(150)
    expect(await server.ask('KEYS', '*')).toMatch(/cellarium:requests:test:[0-9a-f]{64}/)
    expect(ask(other.limits, '@bob:example.org')).toBe(true)
  })

  test('count addresses and paths of both too', async () => {
    await using one = await open(server)
    await using other = await open(server)
    for (let turn = 0; turn < 10; turn++) expect(askPath(one.limits)).toBe(true)
    expect(askPath(one.limits)).toBe(false)
    await one.settled()
    // It hears of the others with what it tells itself.
    for (let turn = 0; turn < 5; turn++) expect(askPath(other.limits)).toBe(true)
    await vi.waitFor(() => expect(askPath(other.limits)).toBe(false), { timeout: 10_000, interval: 1000 })
  })

  test('are those of each instance while Redis is away', async () => {
    await using redis = await startRedis()
    await using one = await open(redis)
    await redis.kill()
    let count = 0
    for (let turn = 0; turn < 200; turn++) if (ask(one.limits, '@carol:example.org')) count++
    expect(count).toBe(100)
  })
})

function ask(limits: RequestLimits, userId: string): boolean {
  const caller = { kind: 'user', userId, serverName: 'example.org', isGuest: false, token: '' } as const
  return isAdmitted(() => limits.admitCaller(asked({ caller }), route))
}

const askPath = (limits: RequestLimits) => isAdmitted(() => limits.admitPath(asked(), route, () => false))

const asked = (more: Partial<Call> = {}) =>
  ({ main: { rateLimit }, address: '203.0.113.1', request: { url: '/path?query' }, ...more }) as Call

function isAdmitted(admit: () => void): boolean {
  try {
    admit()
    return true
  } catch (error) {
    if (error instanceof Refused) return false
    throw error
  }
}

async function open(server: { readonly addr: string }) {
  const { log } = recordingLog()
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  const config = redisConfig([{ addr: server.addr }])
  const redis = new Redis(config, { ...events, repository: 'test', timeoutMs: 5000 })
  await redis.configure(config)
  const limits = new RequestLimits({ clock: { now: () => Date.now() }, events, levels: redis.levels })
  // Commands are answered in turn: what was told before has been by then.
  const settled = async () => void (await redis.levels.add('anybody', 0, { drainPerMinute: 1 }))
  return { limits, settled, [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose]() }
}
