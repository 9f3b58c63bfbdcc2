import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  ALICE,
  type Asked,
  BOB,
  eventually,
  GUEST,
  heldClock,
  LOCKED,
  startApp,
  SUSPENDED,
  type TestApp,
} from '../support/app.ts'

const SECRET = 'shared_secret_Bv6n'
const BRIDGE = {
  token: 'as_bridge_Qw9e',
  sender: '@bridge:example.org',
  users: { '@_bridge_a:example.org': ['DEVICE'] },
}
const CONFIG = '/_matrix/client/v1/media/config'
const BASE = { sharedSecretAuth: { enabled: true, token: SECRET } }
const CACHED = { ...BASE, accessTokens: { maxCacheTimeSeconds: 60 } }
const UNREACHED = 'http://127.0.0.1:9'

let app: TestApp
const clock = heldClock()
const others = ['port.example.org:8448', '[2001:db8::1]', '[2001:db8::2]:8448', '192.0.2.7:8448', 'Mixed.example']
beforeAll(async () => {
  const otherHomeservers = others.map((name) => ({ name, csApi: UNREACHED }))
  app = await startApp({ config: BASE, otherHomeservers, homeserver: { backoffAt: 3 }, clock })
  app.homeserver.addAppservice(BRIDGE)
})
afterAll(() => app[Symbol.asyncDispose]())
beforeEach(async () => {
  await app.reload(BASE)
  app.homeserver.recover()
  clock.wait(120_000)
})

const ask = (token?: string, asked: Asked = {}, path = CONFIG) =>
  app.ask(path, { ...asked, ...(token === undefined ? {} : { token }) })
const refusal = (status: number, errcode: string) => ({ status, json: { errcode } })
const lastWhoami = () => app.homeserver.requests.findLast(({ path }) => path.endsWith('/whoami'))

/** Which homeserver answers: the id it gives out names it. */
async function servedBy(headers: Record<string, string>): Promise<string> {
  const { status, json } = await app.ask('/_matrix/media/v1/create', { method: 'POST', token: SECRET, headers })
  return status === 200 ? (String(json['content_uri']).split('/')[2] ?? '') : `${status} ${String(json['error'])}`
}

/** The tests' connections come from 127.0.0.1, as from a proxy on the same machine. */
const heardAddress = async (forwardedFor?: string | readonly string[]) => {
  await ask(ALICE.token, forwardedFor === undefined ? {} : { headers: { 'x-forwarded-for': forwardedFor } })
  const headers = lastWhoami()?.headers
  expect(headers?.['x-real-ip']).toBe(headers?.['x-forwarded-for'])
  return headers?.['x-forwarded-for']
}

const actingAs = (userId: string) => `${CONFIG}?user_id=${encodeURIComponent(userId)}`

const whoamis = async (work: () => Promise<unknown>) => {
  const before = app.homeserver.count('whoami')
  await work()
  return app.homeserver.count('whoami') - before
}

const thrice = (token: string) => async () => {
  for (let time = 0; time < 3; time++) await ask(token)
}

const logout = (token?: string) => ask(token, { method: 'POST' }, '/_matrix/client/v3/logout')

/** A reverse proxy that sends Cellarium what leads round in a circle, and all else to the homeserver. */
async function startProxy(round: TestApp) {
  const proxy = createServer((request, response) => {
    const circle = /\/(logout(\/all)?|versions)$/.test(request.url ?? '')
    const target = `${circle ? round.url : round.homeserver.url}${request.url}`
    const headers = { ...request.headers, host: 'example.org' }
    const onward = httpRequest(target, { method: request.method ?? '', headers }, (answer) => {
      answer.pipe(response.writeHead(answer.statusCode ?? 0, answer.headers))
    })
    request.pipe(onward)
  })
  await once(proxy.listen(0, '127.0.0.1'), 'listening')
  const address = proxy.address()
  const csApi = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  return { csApi, [Symbol.dispose]: () => proxy.close().closeAllConnections() }
}

describe('The homeserver a request is for', () => {
  test.each([
    ['example.org', 'example.org'],
    ['example.org:443', 'example.org'],
    ['example.org:8448', 'example.org'],
    ['EXAMPLE.org', 'example.org'],
    ['port.example.org:8448', 'port.example.org:8448'],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['[2001:db8::1]:80', '[2001:db8::1]'],
    ['[2001:db8::2]:8448', '[2001:db8::2]:8448'],
    ['192.0.2.7:8448', '192.0.2.7:8448'],
    ['mixed.example', 'Mixed.example'],
  ])('is named by its Host, %s: %s', async (host, name) => {
    await app.reload({ ...BASE, uploads: { maxPending: 0 } })
    expect(await servedBy({ host })).toBe(name)
    expect(await servedBy({ host: 'elsewhere.example', 'x-forwarded-host': host })).toBe(name)
  })

  test.each([
    'elsewhere.example',
    'port.example.org',
    '[2001:db8::3]',
    '[2001:db8::2]',
    'sub.example.org',
    'example.org.',
  ])('is not found when the host is %s: 502 and an error that names it', async (host) => {
    const before = app.log().length
    const answer = await app.ask(CONFIG, { token: ALICE.token, headers: { host } })
    expect(answer).toMatchObject(refusal(502, 'M_UNKNOWN'))
    expect(answer.json['error']).toContain(JSON.stringify(host))
    expect(answer.headers['access-control-allow-origin']).toBe('*')
    expect(app.log().slice(before)).toMatch(/homeservers\[\]\.name/)
  })

  test('is named by X-Forwarded-Host before Host, by the first one, and by Host alone with useForwardedHost: false', async () => {
    await app.reload({ ...BASE, uploads: { maxPending: 0 } })
    const headers = { host: 'example.org', 'x-forwarded-host': 'mixed.example, example.org' }
    expect(await servedBy(headers)).toBe('Mixed.example')
    expect(await servedBy({ host: 'example.org', 'x-forwarded-host': 'elsewhere.example' })).toMatch(/^502 .*elsewhere/)
    await app.reload({ ...BASE, uploads: { maxPending: 0 }, repo: { useForwardedHost: false } })
    expect(await servedBy(headers)).toBe('example.org')
  })

  test('is none when there is no Host: 400, as HTTP demands', async () => {
    for (const [version, status] of [
      ['1.1', 400],
      ['1.0', 502],
    ] as const) {
      using connection = await app.connect()
      connection.write(`GET /_matrix/media/version HTTP/${version}\r\n\r\n`)
      expect(await connection.until(/\}$/)).toMatch(
        new RegExp(`^HTTP/1.1 ${status} [^]*Access-Control-Allow-Origin: \\*[^]*"errcode":"M_UNKNOWN"`),
      )
    }
  })
})

describe('The address of a caller, as the homeserver hears it', () => {
  test.each([
    [undefined, '127.0.0.1'],
    ['192.168.0.7', '192.168.0.7'],
    ['8.8.8.8', '8.8.8.8'],
    ['1.1.1.1, 8.8.8.8', '8.8.8.8'],
    ['8.8.8.8, 10.0.0.1', '8.8.8.8'],
    ['10.0.0.2, 10.0.0.1', '10.0.0.1'],
    ['2600::1', '2600::1'],
    ['[2600::1]:1234', '2600::1'],
    ['8.8.4.4:99', '8.8.4.4'],
    ['nonsense', '127.0.0.1'],
    ['', '127.0.0.1'],
  ])('with X-Forwarded-For %j is %s', async (header, expected) => {
    expect(await heardAddress(header)).toBe(expected)
  })

  test('is the first in the header, whatever it is, with trustAnyForwardedAddress', async () => {
    await app.reload({ ...BASE, repo: { trustAnyForwardedAddress: true } })
    expect(await heardAddress('10.1.2.3, 8.8.8.8')).toBe('10.1.2.3')
    expect(await heardAddress('8.8.8.8, 1.1.1.1')).toBe('8.8.8.8')
    expect(await heardAddress()).toBe('127.0.0.1')
  })
})

describe('A token', () => {
  test('in the header or in the address is as good', async () => {
    expect((await ask(ALICE.token)).status).toBe(200)
    expect((await ask(undefined, { headers: { authorization: `bearer  ${ALICE.token}` } })).status).toBe(200)
    expect((await ask(undefined, {}, `${CONFIG}?access_token=${ALICE.token}`)).status).toBe(200)
  })

  test('in the header wins over one in the address', async () => {
    expect((await ask(ALICE.token, {}, `${CONFIG}?access_token=syt_nobody`)).status).toBe(200)
    expect((await ask('syt_nobody', {}, `${CONFIG}?access_token=${ALICE.token}`)).status).toBe(401)
  })

  test.each(['Basic abc', 'Bearer', 'Bearer ', 'Bearer a b', ALICE.token, 'X-Matrix origin=x'])(
    'is missing with "Authorization: %s", also when there is one in the address',
    async (authorization) => {
      const answer = await ask(undefined, { headers: { authorization } }, `${CONFIG}?access_token=${ALICE.token}`)
      expect(answer).toMatchObject(refusal(401, 'M_MISSING_TOKEN'))
    },
  )

  test('in the address counts no more with allowQueryToken: false', async () => {
    await app.reload({ ...BASE, repo: { allowQueryToken: false } })
    expect(await ask(undefined, {}, `${CONFIG}?access_token=${ALICE.token}`)).toMatchObject(
      refusal(401, 'M_MISSING_TOKEN'),
    )
    expect((await ask(ALICE.token)).status).toBe(200)
  })

  test.each([
    ['unknown', 'syt_nobody', 401, { errcode: 'M_UNKNOWN_TOKEN' }],
    ['of a locked user', LOCKED.token, 401, { errcode: 'M_USER_LOCKED', soft_logout: true }],
    ['of a suspended user', SUSPENDED.token, 403, { errcode: 'M_USER_SUSPENDED' }],
  ])('that is %s is refused in the words of the homeserver', async (_, token, status, json) => {
    expect(await ask(token)).toMatchObject({ status, json })
  })

  test.each([
    ['POST', '/_matrix/media/v3/upload'],
    ['POST', '/_matrix/media/v1/create'],
    ['PUT', '/_matrix/media/v3/upload/example.org/abc'],
    ['GET', CONFIG],
    ['GET', '/_matrix/media/r0/config'],
    ['GET', '/_matrix/media/v3/config'],
    ['GET', '/_matrix/media/unstable/org.matrix.msc4034/usage'],
  ])('of a guest is not enough for %s %s, and none is even less', async (method, path) => {
    expect(await ask(GUEST.token, { method }, path)).toMatchObject(refusal(403, 'M_GUEST_ACCESS_FORBIDDEN'))
    expect(await ask(undefined, { method }, path)).toMatchObject(refusal(401, 'M_MISSING_TOKEN'))
  })

  test('that is the shared secret is no session to log out of, and is not shown to the homeserver', async () => {
    const before = app.homeserver.count('logout')
    expect(await logout(SECRET)).toMatchObject(refusal(403, 'M_FORBIDDEN'))
    expect(app.homeserver.count('logout')).toBe(before)
  })

  test('that is the shared secret needs no homeserver', async () => {
    app.homeserver.misbehave('hang up')
    expect((await ask(SECRET)).status).toBe(200)
    await app.reload({})
    expect((await ask(SECRET)).status).toBe(502)
  })
})

describe('An appservice', () => {
  test('is who it says it is, if the homeserver agrees', async () => {
    expect((await ask(BRIDGE.token)).status).toBe(200)
    expect((await ask(BRIDGE.token, {}, actingAs('@_bridge_a:example.org'))).status).toBe(200)
    expect(lastWhoami()?.query.get('user_id')).toBe('@_bridge_a:example.org')
    expect(await ask(BRIDGE.token, {}, actingAs('@alice:example.org'))).toMatchObject(refusal(403, 'M_FORBIDDEN'))
    const device = (name: string) => `${actingAs('@_bridge_a:example.org')}&device_id=${name}`
    expect((await ask(BRIDGE.token, {}, device('DEVICE'))).status).toBe(200)
    expect(await ask(BRIDGE.token, {}, device('OTHER'))).toMatchObject(refusal(400, 'M_UNKNOWN_DEVICE'))
  })

  test('in the configuration is known without the homeserver, within its namespaces', async () => {
    const appservices = [
      {
        id: 'local',
        asToken: 'as_local_Zx8c',
        senderUserId: '@local:example.org',
        userNamespaces: [{ regex: '@_local_.+:example\\.org' }],
      },
    ]
    await app.reload({ ...BASE, accessTokens: { useLocalAppserviceConfig: true, appservices } })
    app.homeserver.misbehave('hang up')
    const upload = (query: string) =>
      app.ask(`/_matrix/media/v3/upload?filename=x${query}`, {
        method: 'POST',
        token: 'as_local_Zx8c',
        body: randomBytes(9),
      })
    expect((await upload('')).status).toBe(200)
    expect((await upload('&user_id=%40_local_a%3Aexample.org')).status).toBe(200)
    expect((await upload('&user_id=%40alice%3Aexample.org')).status).toBe(502)
    expect((await upload('&user%5fid=%40alice%3Aexample.org')).status).toBe(502)
    const uploaders = app
      .sql('select uploader from media where uploader like ?', '%local%')
      .map(({ uploader }) => uploader)
    expect(new Set(uploaders)).toEqual(new Set(['@local:example.org', '@_local_a:example.org']))
  })
})

describe('The homeserver’s word on a token', () => {
  test('is asked for each request when nothing is to be remembered, by requests at the same time together', async () => {
    expect(await whoamis(thrice(ALICE.token))).toBe(3)
    const release = app.homeserver.holdAnswers('whoami')
    const together = Promise.all([ask(ALICE.token), ask(ALICE.token), ask(ALICE.token), ask(BOB.token)])
    const before = app.homeserver.count('whoami')
    await eventually(() => app.homeserver.count('whoami') >= before + 2)
    await app.ask('/healthz')
    release()
    expect((await together).map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(app.homeserver.count('whoami')).toBe(before + 2)
  })

  test('is remembered for maxCacheTimeSeconds, user by user', async () => {
    await app.reload(CACHED)
    expect(await whoamis(thrice(ALICE.token))).toBe(1)
    expect(await whoamis(thrice(BOB.token))).toBe(1)
    clock.wait(61_000)
    expect(await whoamis(thrice(ALICE.token))).toBe(1)
  })

  test.each([
    ['a homeserver that answers 500', { status: 500, body: { errcode: 'M_UNKNOWN' } }],
    ['a homeserver that answers nonsense', 'garbage'],
    ['a homeserver that hangs up', 'hang up'],
    ['something else at that address', { status: 404, body: 'no' }],
  ] as const)('is not taken from %s: 502 without its address, and nothing is remembered', async (_, trouble) => {
    await app.reload(CACHED)
    app.homeserver.misbehave(trouble)
    const answer = await ask(ALICE.token)
    expect(answer).toMatchObject(refusal(502, 'M_UNKNOWN'))
    expect(String(answer.body)).not.toContain('127.0.0.1')
    app.homeserver.recover()
    expect((await ask(ALICE.token)).status).toBe(200)
  })

  test('is not waited for over and over once the homeserver has failed backoffAt times', async () => {
    app.homeserver.misbehave('hang up')
    const failures = await whoamis(async () => {
      for (let time = 0; time < 10; time++) expect((await ask(ALICE.token)).status).toBe(502)
    })
    expect(failures).toBe(3)
    const refused = await ask(ALICE.token)
    expect(refused.headers['retry-after']).toBe('1')
    app.homeserver.recover()
    clock.wait(60_000)
    expect((await ask(ALICE.token)).status).toBe(200)
  })

  test('is forgotten when the user logs out through us, at once', async () => {
    await app.reload(CACHED)
    for (const [version, path] of [
      ['r0', 'logout'],
      ['v3', 'logout'],
      ['v3', 'logout/all'],
    ]) {
      const user = { token: `syt_leaving_${randomBytes(4).toString('hex')}`, userId: '@leaving:example.org' }
      const second = { ...user, token: `${user.token}_2` }
      app.homeserver.addUser(user)
      app.homeserver.addUser(second)
      expect([(await ask(user.token)).status, (await ask(second.token)).status]).toEqual([200, 200])
      const logout = await ask(user.token, { method: 'POST' }, `/_matrix/client/${version}/${path}`)
      expect([logout.status, logout.json]).toEqual([200, {}])
      expect(await ask(user.token)).toMatchObject(refusal(401, 'M_UNKNOWN_TOKEN'))
      expect((await ask(second.token)).status).toBe(path === 'logout' ? 200 : 401)
    }
  })
})

describe('Logging out', () => {
  test('is answered by the homeserver, also for locked users; without a token it is not even asked', async () => {
    expect(await logout('syt_nobody')).toMatchObject(refusal(401, 'M_UNKNOWN_TOKEN'))
    const before = app.homeserver.requests.length
    expect(await logout()).toMatchObject(refusal(401, 'M_MISSING_TOKEN'))
    expect(app.homeserver.requests.length).toBe(before)
    app.homeserver.addUser({ token: 'syt_locked_out', userId: '@l:example.org', locked: true })
    expect((await logout('syt_locked_out')).status).toBe(200)
    app.homeserver.misbehave('hang up')
    expect(await logout(ALICE.token)).toMatchObject(refusal(502, 'M_UNKNOWN'))
  })
})

describe('The versions', () => {
  test("are the homeserver's with v1.11 added, asked without anybody's token", async () => {
    const answer = await app.ask('/_matrix/client/versions', { token: ALICE.token })
    expect(answer.json).toEqual({
      versions: ['r0.6.1', 'v1.1', 'v1.10', 'v1.11'],
      unstable_features: { 'org.example.feature': true },
    })
    const asked = app.homeserver.requests.findLast(({ path }) => path.endsWith('/versions'))
    expect([asked?.headers.authorization, [...(asked?.query.keys() ?? [])]]).toEqual([undefined, []])
    expect(JSON.stringify(asked)).not.toContain(ALICE.token)
  })
})

describe('A csApi that leads back to Cellarium', () => {
  test.each([
    ['POST', '/_matrix/client/v3/logout'],
    ['POST', '/_matrix/client/v3/logout/all'],
    ['GET', '/_matrix/client/versions'],
  ])('ends after one round with an error that names it: %s %s', async (method, path) => {
    await using round = await startApp()
    using proxy = await startProxy(round)
    await round.reload({ homeservers: [{ name: 'example.org', csApi: proxy.csApi }] })
    const answer = await round.ask(path, { method, token: ALICE.token })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(String(answer.json['error'])).toContain('csApi')
    const asked = round
      .log()
      .split('\n')
      .filter((line) => line.includes('request finished') && line.includes(path))
    expect(asked).toHaveLength(2)
    expect(round.log()).toContain('csApi leads back to Cellarium')
    expect((await round.ask(CONFIG, { token: ALICE.token })).status).toBe(200)
  })
})

test('No token of these tests is in the log', () => {
  const tokens = [ALICE, BOB, GUEST, LOCKED, SUSPENDED, BRIDGE].map(({ token }) => token)
  for (const token of [...tokens, SECRET, 'as_local_Zx8c', 'syt_leaving', 'syt_nobody', 'syt_locked_out']) {
    expect(app.log()).not.toContain(token)
  }
})
