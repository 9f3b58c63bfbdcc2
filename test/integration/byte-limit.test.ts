import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { mainSchema, type MainConfig } from '../../src/config/schema.ts'
import { createSnapshot, type SnapshotData } from '../../src/config/snapshot.ts'
import { LocalBuckets } from '../../src/coordination/byte-buckets.ts'
import { json } from '../../src/http/answers.ts'
import type { Call } from '../../src/http/call.ts'
import type { HttpParts } from '../../src/http/parts.ts'
import { RequestLimits } from '../../src/http/request-limits.ts'
import type { Route } from '../../src/http/route.ts'
import { type HttpServer, startHttp } from '../../src/http/server.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import type { Credentials } from '../../src/matrix/appservices.ts'
import { chargeFetch } from '../../src/media/byte-limit.ts'
import { type Asked, heldClock, send } from '../support/app.ts'
import { NO_REQUEST_LIMITS } from '../support/limits.ts'
import { recordingLog } from '../support/log.ts'

const SECRET = 'shared_secret_Bd7w'
const DOWNLOADS = { capacityBytes: 1000, drainBytesPerMinute: 600, overflowLimitBytes: 100 }

/** Charges the caller as a fetch does: `?announced=` is a length told before, `?came=` what came without one. */
async function handler(_: HttpParts, call: Call) {
  const announced = call.query.get('announced') !== null ? call.integer('announced', 0) : undefined
  const charged = await chargeFetch({ byteBuckets, config, events: { log, metrics } }, call, announced)
  charged.charge(call.integer('came', 0))
  return json({})
}
const routes: readonly Route[] = [
  { action: 'test', methods: ['GET'], paths: ['/anyone'], who: 'anyone', handler },
  { action: 'test', methods: ['GET'], paths: ['/user'], who: 'user_or_guest', handler },
]

const { log, lines } = recordingLog()
const metrics = openMetrics({ version: 'test' })
let rateLimit: MainConfig['rateLimit']
let trustAnyForwardedAddress: boolean
let clock = heldClock()
let byteBuckets = new LocalBuckets({ clock })
let http: HttpServer

/** Requests may come as they like. */
const limits = (changes: object) => mainSchema.shape.rateLimit.parse({ ...NO_REQUEST_LIMITS, ...changes })

function config() {
  const main = {
    rateLimit,
    repo: { useForwardedHost: true, trustAnyForwardedAddress, allowQueryToken: true },
    federation: { ignoredHosts: [], onlyHosts: [] },
    sharedSecretAuth: { enabled: true, token: SECRET },
    admins: [],
  }
  return createSnapshot({ main, homeservers: [{ name: 'example.org' }] } as unknown as SnapshotData)
}

/** The user that a token is named after; appservices' begin with `as`. */
const known = (_: unknown, { token }: Credentials) => ({
  kind: 'user',
  userId: `@${token}:example.org`,
  ...(token.startsWith('as') && { isAppservice: true }),
})

beforeAll(async () => {
  const parts = {
    config,
    events: { log, metrics },
    log,
    homeservers: { known },
    requestLimits: new RequestLimits({ clock, events: { log, metrics } }),
  }
  http = await startHttp(parts as unknown as HttpParts, { bindAddress: '127.0.0.1', port: 0, routes })
})
afterAll(() => http[Symbol.asyncDispose]())
beforeEach(() => {
  rateLimit = limits({ buckets: { downloads: DOWNLOADS } })
  trustAnyForwardedAddress = false
  clock = heldClock()
  byteBuckets = new LocalBuckets({ clock })
})

const ask = (path: string, asked: Asked = {}) => send(http.port, path, asked)
const statusFrom = async (forwardedFor: string, path = '/anyone') =>
  (await ask(path, { headers: { 'x-forwarded-for': forwardedFor } })).status

describe('Whoever has had too much fetched', () => {
  test('is told when to come back, also in browsers, and is served then', async () => {
    expect((await ask('/user?announced=1050', { token: 'alice' })).status).toBe(200)
    const refused = await ask('/user?announced=500', { token: 'alice' })
    // 1050 + 500 is 450 more than 1100, and ten bytes drain a second; the test itself takes time.
    const waitMs = Number(refused.json['retry_after_ms'])
    expect(waitMs).toBeGreaterThan(15_000)
    expect(waitMs).toBeLessThanOrEqual(45_001)
    expect(refused).toMatchObject({
      status: 429,
      json: { errcode: 'M_LIMIT_EXCEEDED', mr_errcode: 'M_LIMIT_EXCEEDED' },
      headers: {
        'retry-after': String(Math.ceil(waitMs / 1000)),
        'access-control-allow-origin': '*',
        'access-control-expose-headers': expect.stringContaining('Retry-After'),
      },
    })
    clock.wait(waitMs)
    expect((await ask('/user?announced=500', { token: 'alice' })).status).toBe(200)
  })

  test('is refused before another server is asked, and named in the log and the metrics', async () => {
    const before = metrics.fetchesLimited.of().value
    await ask('/user?announced=1100', { token: 'alice' })
    expect((await ask('/user', { token: 'alice' })).status).toBe(429)
    expect(metrics.fetchesLimited.of().value).toBe(before + 1)
    expect(JSON.stringify(lines)).toContain('user @alice:example.org')
  })
})

describe('Bytes whose number was not told', () => {
  test('are charged when they are there', async () => {
    expect((await ask('/user?came=5000', { token: 'alice' })).status).toBe(200)
    expect((await ask('/user', { token: 'alice' })).status).toBe(429)
    expect((await ask('/user?announced=1', { token: 'alice' })).status).toBe(429)
  })

  test('are not charged again when it was told', async () => {
    expect((await ask('/user?announced=500&came=500', { token: 'alice' })).status).toBe(200)
    expect((await ask('/user?announced=500', { token: 'alice' })).status).toBe(200)
  })
})

const from = (address: string) => ({ token: 'alice', headers: { 'x-forwarded-for': address } })

describe('One caller is', () => {
  test('a user, from wherever', async () => {
    expect((await ask('/user?came=5000', from('203.0.113.1'))).status).toBe(200)
    expect((await ask('/user', from('203.0.113.2'))).status).toBe(429)
    expect((await ask('/user', { token: 'bob', headers: { 'x-forwarded-for': '203.0.113.1' } })).status).toBe(200)
  })

  test('an IPv4 address, for those who do not say who they are', async () => {
    expect(await statusFrom('203.0.113.1', '/anyone?came=5000')).toBe(200)
    expect(await statusFrom('203.0.113.1')).toBe(429)
    expect(await statusFrom('::ffff:203.0.113.1')).toBe(429)
    expect(await statusFrom('203.0.113.2')).toBe(200)
  })

  test('a /64 of IPv6 addresses', async () => {
    expect(await statusFrom('2001:db8:1:1::1', '/anyone?came=5000')).toBe(200)
    expect(await statusFrom('2001:db8:1:1:ffff:ffff:ffff:ffff')).toBe(429)
    expect(await statusFrom('2001:DB8:1:1:0::2')).toBe(429)
    expect(await statusFrom('2001:db8:1:2::1')).toBe(200)
  })

  test('not whatever a client claims: what it has put into X-Forwarded-For itself does not count', async () => {
    expect(await statusFrom('203.0.113.1', '/anyone?came=5000')).toBe(200)
    expect(await statusFrom('198.51.100.1, 203.0.113.1')).toBe(429)
    expect(await statusFrom('198.51.100.2, 203.0.113.1, 10.0.0.1')).toBe(429)
    trustAnyForwardedAddress = true
    expect(await statusFrom('198.51.100.2, 203.0.113.1, 10.0.0.1')).toBe(200)
  })
})

describe('No limit is there', () => {
  test('for appservices of the configuration and the shared secret', async () => {
    for (const token of ['as_bridge', SECRET]) {
      for (let times = 0; times < 3; times++) {
        expect((await ask('/user?announced=5000', { token })).status).toBe(200)
      }
    }
  })

  test.each([
    ['it is switched off', { enabled: false, buckets: { downloads: DOWNLOADS } }],
    ['the capacity is 0', { buckets: { downloads: { ...DOWNLOADS, capacityBytes: 0 } } }],
    ['nothing drains', { buckets: { downloads: { ...DOWNLOADS, drainBytesPerMinute: 0 } } }],
  ])('where %s', async (_, changed) => {
    await ask('/user?came=5000', { token: 'alice' })
    expect((await ask('/user', { token: 'alice' })).status).toBe(429)
    rateLimit = limits(changed)
    for (let times = 0; times < 3; times++) {
      expect((await ask('/user?announced=5000', { token: 'alice' })).status).toBe(200)
    }
  })
})

test('A limit that is raised while the server runs counts at once', async () => {
  await ask('/user?came=5000', { token: 'alice' })
  expect((await ask('/user', { token: 'alice' })).status).toBe(429)
  rateLimit = limits({ buckets: { downloads: { ...DOWNLOADS, capacityBytes: 10_000 } } })
  expect((await ask('/user', { token: 'alice' })).status).toBe(200)
})
