import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ALICE, type Answered, type Asked, BOB, heldClock, startApp, type TestApp } from '../support/app.ts'
import { NO_REQUEST_LIMITS } from '../support/limits.ts'

const SECRET = 'shared_secret_Kd83'
const BRIDGE = { token: 'token_of_the_bridge', userId: '@bridge:example.org' }
const DEFAULTS = { requestsPerSecond: 1, burst: 10, perCaller: { requestsPerSecond: 50, burst: 500 } }
const VERSION = '/_matrix/media/version'
const CONFIG = '/_matrix/client/v1/media/config'

let app: TestApp
const clock = heldClock()
const fixed = {
  sharedSecretAuth: { enabled: true, token: SECRET },
  accessTokens: {
    maxCacheTimeSeconds: 3600,
    useLocalAppserviceConfig: true,
    appservices: [{ id: 'bridge', asToken: BRIDGE.token, senderUserId: BRIDGE.userId }],
  },
}
beforeAll(async () => void (app = await startApp({ clock, config: fixed })))
afterAll(() => app[Symbol.asyncDispose]())
/** All buckets are empty again by then. */
beforeEach(() => clock.wait(24 * 3_600_000))

const limit = (rateLimit: object, more: object = {}) =>
  app.reload({ ...fixed, ...more, rateLimit: { ...NO_REQUEST_LIMITS, ...rateLimit } })
const from = (address: string, asked: Asked = {}): Asked => ({
  ...asked,
  headers: { ...asked.headers, 'x-forwarded-for': address },
})
const statuses = async (count: number, path: string | ((index: number) => string), asked: Asked = {}) => {
  const paths = Array.from({ length: count }, (_, index) => (typeof path === 'string' ? path : path(index)))
  return (await Promise.all(paths.map((one) => app.ask(one, asked)))).map(({ status }) => status)
}
const download = (media: string) => `/_matrix/client/v1/media/download/${media}`
const thumbnail = (media: string) => `/_matrix/client/v1/media/thumbnail/${media}?width=32&height=32`
const identicon = (index: number) => `/_matrix/media/v3/identicon/${index}`
const create = (token: string) => app.ask('/_matrix/media/v1/create', { method: 'POST', token })
const statusFrom = async (address: string) => (await app.ask(VERSION, from(address))).status
const refusal = (answered: Answered) => [answered.status, answered.json['errcode']]
const limited = (all: readonly number[]) => all.filter((status) => status === 429).length

describe('By default', () => {
  beforeEach(() => limit(DEFAULTS))

  test('a client that opens a room and asks for fifty avatars at once gets them all, and thumbnails of them too', async () => {
    const avatars = await Promise.all(Array.from({ length: 50 }, () => app.upload(randomBytes(200))))
    for (const asked of [from('203.0.113.5', { token: BOB.token }), { token: BOB.token }]) {
      const got = await statuses(50, (index) => download(avatars[index] ?? ''), asked)
      expect(new Set(got)).toEqual(new Set([200]))
    }
    const asked = from('203.0.113.5', { token: BOB.token })
    expect(limited(await statuses(50, (index) => thumbnail(avatars[index] ?? ''), asked))).toBe(0)
  })

  test('somebody who sends fifty pictures at once has them taken', async () => {
    const sent = await Promise.all(
      Array.from({ length: 50 }, () =>
        app.ask('/_matrix/media/v3/upload', { method: 'POST', token: ALICE.token, body: randomBytes(100) }),
      ),
    )
    expect(limited(sent.map(({ status }) => status))).toBe(0)
  })
})

describe('An address that asks for one path', () => {
  test('may do it burst times at once and then so often a second, whatever the query is', async () => {
    await limit({ requestsPerSecond: 0.001, burst: 5 })
    const got = await statuses(8, (index) => `${VERSION}?try=${index}`, from('203.0.113.1'))
    expect(limited(got)).toBe(3)
    expect((await app.ask('/_matrix/client/versions', from('203.0.113.1'))).status, 'another path').toBe(200)
    expect((await app.ask(VERSION, from('203.0.113.2'))).status, 'another address').toBe(200)
    clock.wait(1_000_000)
    expect((await app.ask(VERSION, from('203.0.113.1'))).status).toBe(200)
    expect((await app.ask(VERSION, from('203.0.113.1'))).status).toBe(429)
  })

  test('is told when to come back, in both ways, also in browsers', async () => {
    await limit({ requestsPerSecond: 0.01, burst: 1 })
    await app.ask(VERSION)
    const refused = await app.ask(VERSION)
    const waitMs = Number(refused.json['retry_after_ms'])
    expect(waitMs).toBeGreaterThan(50_000)
    expect(waitMs).toBeLessThanOrEqual(100_000)
    expect(refused).toMatchObject({
      status: 429,
      json: { errcode: 'M_LIMIT_EXCEEDED', error: 'Too many requests for this path; wait a moment' },
      headers: {
        'retry-after': String(Math.ceil(waitMs / 1000)),
        'access-control-allow-origin': '*',
        'access-control-expose-headers': expect.stringContaining('Retry-After'),
      },
    })
    clock.wait(waitMs)
    expect((await app.ask(VERSION)).status).toBe(200)
  })

  test('is limited with a token as without one, before anybody is asked whose it is', async () => {
    await limit({ requestsPerSecond: 0.001, burst: 3 })
    const asked = app.homeserver.count('whoami')
    expect(limited(await statuses(3, CONFIG, { token: 'nobodys' }))).toBe(0)
    expect(limited(await statuses(5, CONFIG, { token: 'somebody_elses' }))).toBe(5)
    expect(app.homeserver.requests.filter(({ headers }) => headers.authorization === 'Bearer somebody_elses')).toEqual(
      [],
    )
    expect(app.homeserver.count('whoami')).toBeGreaterThan(asked)
  })

  test('is a /64 in IPv6, and what the proxy says, not what the client says itself', async () => {
    await limit({ requestsPerSecond: 0.001, burst: 1 })
    expect(await statusFrom('2001:db8:1:1::1')).toBe(200)
    expect(await statusFrom('2001:db8:1:1:ffff::2')).toBe(429)
    expect(await statusFrom('2001:db8:1:2::1')).toBe(200)
    expect(await statusFrom('203.0.113.1')).toBe(200)
    expect(await statusFrom('::ffff:203.0.113.1')).toBe(429)
    expect(await statusFrom('198.51.100.7, 203.0.113.1')).toBe(429)
    expect(await statusFrom('198.51.100.7, 203.0.113.1, 10.0.0.1')).toBe(429)
    await limit({ requestsPerSecond: 0.001, burst: 1 }, { repo: { trustAnyForwardedAddress: true } })
    expect(await statusFrom('198.51.100.7, 203.0.113.1')).toBe(200)
  })

  test('is not limited where requestsPerSecond is 0 or limits are switched off, and again at once when they are on', async () => {
    await limit({ requestsPerSecond: 0, burst: 1 })
    expect(limited(await statuses(5, VERSION))).toBe(0)
    await limit({ enabled: false, requestsPerSecond: 0.001, burst: 1 })
    expect(limited(await statuses(5, VERSION))).toBe(0)
    await limit({ requestsPerSecond: 0.001, burst: 1 })
    expect(limited(await statuses(5, VERSION))).toBe(4)
  })

  test('may always ask whether the server is well, and browsers whether they may ask', async () => {
    await limit({ requestsPerSecond: 0.001, burst: 1, perCaller: { requestsPerSecond: 0.001, burst: 1 } })
    expect(new Set(await statuses(5, '/healthz'))).toEqual(new Set([200]))
    expect(new Set(await statuses(5, VERSION, { method: 'OPTIONS' }))).toEqual(new Set([204]))
  })
})

describe('A caller', () => {
  beforeEach(() => limit({ perCaller: { requestsPerSecond: 0.01, burst: 4 } }))

  test('is a user, on all paths and from all addresses together', async () => {
    const asked = (index: number) => from(`203.0.113.${index}`, { token: ALICE.token })
    for (let index = 0; index < 4; index++) expect((await app.ask(CONFIG, asked(index))).status).toBe(200)
    const refused = await app.ask('/_matrix/client/v1/media/download/example.org/any', asked(9))
    expect(refusal(refused)).toEqual([429, 'M_LIMIT_EXCEEDED'])
    expect(Number(refused.headers['retry-after'])).toBe(Math.ceil(Number(refused.json['retry_after_ms']) / 1000))
    expect((await app.ask(CONFIG, from('203.0.113.1', { token: BOB.token }))).status).toBe(200)
  })

  test('is an address where nobody says who it is', async () => {
    expect(limited(await statuses(6, identicon, from('203.0.113.1')))).toBe(2)
    expect(limited(await statuses(4, identicon, from('203.0.113.2')))).toBe(0)
    expect((await app.ask(CONFIG, from('203.0.113.1', { token: ALICE.token }))).status).toBe(200)
  })

  test('that makes up tokens is an address too, and the homeserver is not asked about all of them', async () => {
    const before = app.homeserver.count('whoami')
    const tries = []
    for (let index = 0; index < 10; index++) {
      tries.push((await app.ask(CONFIG, from('203.0.113.3', { token: `made_up_${index}` }))).status)
    }
    expect(tries).toEqual([401, 401, 401, 401, 429, 429, 429, 429, 429, 429])
    expect(app.homeserver.count('whoami') - before).toBe(4)
  })

  test('that is an appservice of the configuration, or the shared secret, is not limited', async () => {
    await limit({ requestsPerSecond: 0.001, burst: 1, perCaller: { requestsPerSecond: 0.01, burst: 1 } })
    for (const token of [BRIDGE.token, SECRET]) {
      expect(limited(await statuses(5, CONFIG, from('203.0.113.4', { token })))).toBe(0)
    }
    expect(limited(await statuses(5, CONFIG, from('203.0.113.4', { token: ALICE.token })))).toBe(5)
  })

  test('that uploads too much at once is told so, and nothing of it stays', async () => {
    const files = (await app.files()).length
    const body = randomBytes(100_000)
    const upload = () => app.ask('/_matrix/media/v3/upload', { method: 'POST', token: BOB.token, body })
    const got = []
    for (let index = 0; index < 6; index++) got.push((await upload()).status)
    expect(got).toEqual([200, 200, 200, 200, 429, 429])
    expect((await app.files()).length).toBe(files + 1)
  })
})

test('Media ids are given out so many at once, and then so many a second', async () => {
  await limit({ create: { requestsPerSecond: 0.01, burst: 3 } }, { uploads: { maxPending: 0 } })
  for (let index = 0; index < 3; index++) expect((await create(ALICE.token)).status).toBe(200)
  const refused = await create(ALICE.token)
  expect(refused).toMatchObject({ status: 429, json: { errcode: 'M_LIMIT_EXCEEDED' } })
  const waitMs = Number(refused.json['retry_after_ms'])
  expect(refused.headers['retry-after']).toBe(String(Math.ceil(waitMs / 1000)))
  expect((await create(BOB.token)).status).toBe(200)
  for (let index = 0; index < 5; index++) expect((await create(BRIDGE.token)).status).toBe(200)
  clock.wait(waitMs)
  expect((await create(ALICE.token)).status).toBe(200)
})

test('What is refused is in the log, with whose it was', async () => {
  await limit({ requestsPerSecond: 0.001, burst: 1 })
  await statuses(2, VERSION, from('203.0.113.77'))
  const line = app
    .log()
    .split('\n')
    .find((text) => text.includes('over a limit of rateLimit') && text.includes('203.0.113.77'))
  expect(JSON.parse(line ?? '{}')).toMatchObject({ limit: 'path', who: '203.0.113.77', path: VERSION })
})
