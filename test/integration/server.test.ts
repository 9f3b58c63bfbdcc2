import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type Asked, BOB, startApp, type TestApp } from '../support/app.ts'
import { describeWith, freePort, freshDatabase } from '../support/services.ts'
import { VERSION } from '../../src/lib/version.ts'

let app: TestApp
let metricsPort: number
beforeAll(async () => {
  metricsPort = await freePort()
  const quotas = { enabled: true, users: [{ glob: '@bob:*', maxBytes: 5000, maxFiles: 3 }] }
  app = await startApp({
    config: { uploads: { maxBytes: 1234, quotas }, metrics: { enabled: true, port: metricsPort } },
  })
})
afterAll(() => app[Symbol.asyncDispose]())

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, DELETE, OPTIONS',
  'access-control-allow-headers': expect.stringContaining('Authorization'),
}

describe('What is not there', () => {
  test.each([
    '/_matrix/media/unknown',
    '/_matrix/media/v3/unknown',
    '/_matrix/media/v2/upload',
    '/_matrix/media/v3/upload/',
  ])('%s is not recognized, with any method', async (path) => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await app.ask(path, { method })
      expect([answer.status, answer.json['errcode']]).toEqual([404, 'M_UNRECOGNIZED'])
      expect(answer.headers).toMatchObject({ ...CORS, 'content-type': 'application/json' })
    }
  })

  test('/ is a page to browsers, and nothing to programs', async () => {
    const ofProgram = await app.ask('/', { headers: { accept: '*/*' } })
    expect([ofProgram.status, ofProgram.json['errcode']]).toEqual([404, 'M_UNRECOGNIZED'])
    const ofBrowser = await app.ask('/', { headers: { accept: 'text/html,*/*;q=0.8', host: 'else.example' } })
    expect([ofBrowser.status, ofBrowser.headers['content-type']]).toEqual([200, 'text/html; charset=UTF-8'])
  })

  test.each([
    ['PATCH', '/_matrix/media/v3/upload', 'POST, OPTIONS'],
    ['GET', '/_matrix/media/v3/upload', 'POST, OPTIONS'],
    ['GET', '/_matrix/media/v1/create', 'POST, OPTIONS'],
    ['POST', '/_matrix/client/v1/media/download/example.org/abc', 'GET, HEAD, OPTIONS'],
    ['DELETE', '/_matrix/client/v1/media/config', 'GET, OPTIONS'],
    ['POST', '/_matrix/media/v3/upload/example.org/abc', 'PUT, OPTIONS'],
    ['GET', '/_matrix/client/v3/logout', 'POST, OPTIONS'],
    ['POST', '/healthz', 'GET, HEAD, OPTIONS'],
  ])('%s is no method of %s, and the answer says which are', async (method, path, allow) => {
    const answer = await app.ask(path, { method })
    expect([answer.status, answer.json['errcode']]).toEqual([405, 'M_UNRECOGNIZED'])
    expect(answer.headers).toMatchObject({ ...CORS, allow })
  })
})

test.each([
  ['a refused token', '/_matrix/client/v1/media/config', { token: 'syt_nobody' }],
  ['no token', '/_matrix/client/v1/media/config', {}],
  ['an unknown host', '/_matrix/client/v1/media/config', { headers: { host: 'else.example' } }],
  ['unknown media', '/_matrix/media/v3/download/example.org/abc', {}],
  ['a bad parameter', '/_matrix/media/v3/download/example.org/abc?timeout_ms=x', {}],
  ['a file too large', '/_matrix/media/v3/upload', { method: 'POST', token: ALICE.token, body: Buffer.alloc(2000) }],
  ['an address that cannot be decoded', '/_matrix/media/v3/download/example.org/%', {}],
] satisfies [string, string, Asked][])('The error for %s can be read by web pages', async (_, path, asked) => {
  const answer = await app.ask(path, asked)
  expect(answer.status).toBeGreaterThanOrEqual(400)
  expect(answer.headers).toMatchObject({ ...CORS, 'content-type': 'application/json' })
  expect(answer.json).toMatchObject({ errcode: expect.stringMatching(/^M_/), error: expect.stringMatching(/./) })
})

test.each([
  '/_matrix/media/v3/upload',
  '/_matrix/client/v1/media/download/example.org/abc',
  '/_matrix/client/v1/media/config',
  '/_matrix/nothing/here',
  '/%',
  '*',
])('OPTIONS %s is answered without a token, on any host', async (path) => {
  const before = app.homeserver.requests.length
  for (const host of ['example.org', 'else.example']) {
    const answer = await app.ask(path, { method: 'OPTIONS', headers: { host } })
    expect([answer.status, answer.body.length]).toEqual([204, 0])
    expect(answer.headers).toMatchObject(CORS)
  }
  expect(app.homeserver.requests.length).toBe(before)
})

describe('Small answers', () => {
  const CONFIGS = ['client/v1/media/config', 'media/r0/config', 'media/v1/config', 'media/v3/config']

  test.each(CONFIGS)('%s says how much may be uploaded', async (path) => {
    expect((await app.ask(`/_matrix/${path}`, { token: ALICE.token })).json).toEqual({ 'm.upload.size': 1234 })
    expect((await app.ask(`/_matrix/${path}`, { token: BOB.token })).json).toEqual({
      'm.upload.size': 1234,
      'org.matrix.msc4034.storage.size': 5000,
      'org.matrix.msc4034.storage.max_files': 3,
    })
  })

  test.each([
    [{ reportedMaxBytes: 99 }, { 'm.upload.size': 99 }],
    [{ reportedMaxBytes: -1 }, {}],
    [{ maxBytes: 0 }, {}],
  ])('with uploads %j config says %j', async (uploads, json) => {
    await using other = await startApp({ config: { uploads } })
    expect((await other.ask('/_matrix/media/v3/config', { token: ALICE.token })).json).toEqual(json)
  })

  test('usage says how much the caller keeps here', async () => {
    const usage = async () =>
      (await app.ask('/_matrix/media/unstable/org.matrix.msc4034/usage', { token: BOB.token })).json
    expect(await usage()).toEqual({})
    const body = randomBytes(300)
    await app.upload(body, { token: BOB.token })
    await app.upload(body, { token: BOB.token })
    await app.upload(randomBytes(200), { token: BOB.token })
    await app.upload(randomBytes(100), { token: ALICE.token })
    expect(await usage()).toEqual({
      'org.matrix.msc4034.storage.used': 500,
      'org.matrix.msc4034.storage.files': 2,
    })
  })

  test('version names this program', async () => {
    expect((await app.ask('/_matrix/media/version')).json).toMatchObject({ Version: VERSION, server: 'Cellarium' })
  })

  test.each(['r0', 'v1', 'v3'])(
    'identicons of %s need no token, and are as large as asked for, within bounds',
    async (version) => {
      const ask = (query: string) => app.ask(`/_matrix/media/${version}/identicon/a/b%20c${query}`)
      const size = async (query: string) => {
        const { body, headers } = await ask(query)
        expect(headers).toMatchObject({
          'content-type': 'image/png',
          'content-disposition': 'inline; filename=identicon.png',
        })
        return [body.readUInt32BE(16), body.readUInt32BE(20)]
      }
      expect(await size('')).toEqual([96, 96])
      expect(await size('?width=200')).toEqual([200, 200])
      expect(await size('?width=1&height=9999')).toEqual([96, 512])
      expect((await ask('?width=x')).status).toBe(400)
      const { headers } = await ask('')
      expect(
        (
          await app.ask(`/_matrix/media/${version}/identicon/a/b%20c`, {
            headers: { 'if-none-match': String(headers['etag']) },
          })
        ).status,
      ).toBe(304)
    },
  )

  test('identicons can be switched off', async () => {
    await using other = await startApp({ config: { identicons: { enabled: false } } })
    expect(await other.ask('/_matrix/media/r0/identicon/x')).toMatchObject({
      status: 404,
      json: { errcode: 'M_NOT_FOUND' },
    })
  })
})

describe('The id of a request', () => {
  test('is made, or taken over from the proxy, and stands in the log', async () => {
    const made = await app.ask('/_matrix/media/version')
    expect(made.headers['x-request-id']).toMatch(/^[\w-]+$/)
    const given = await app.ask('/_matrix/media/version', { headers: { 'x-request-id': 'proxy:17.a-b_c' } })
    expect(given.headers['x-request-id']).toBe('proxy:17.a-b_c')
    for (const { headers } of [made, given])
      expect(app.log()).toContain(`"requestId":"${String(headers['x-request-id'])}"`)
  })

  test.each(['a b', '"x"', 'x'.repeat(101), '<script>', ''])('is not taken over when it is %j', async (id) => {
    const { headers } = await app.ask('/_matrix/media/version', { headers: { 'x-request-id': id } })
    expect(headers['x-request-id']).toMatch(/^[0-9a-f]{8}-\d+$/)
  })
})

describe('healthz', () => {
  test('is well on any host, by GET and HEAD', async () => {
    const { status, json } = await app.ask('/healthz', { headers: { host: 'probe' } })
    expect([status, json]).toMatchObject([200, { ok: true, status: 'Probably not dead' }])
    expect(await app.ask('/healthz', { method: 'HEAD' })).toMatchObject({ status: 200 })
  })

  test('names the datastores that are down, and stays well: what needs none still works', async () => {
    await using two = await startApp({
      config: {
        datastores: [
          { id: 'fine', type: 'file', forKinds: ['all'], opts: { path: join(app.folder, 'fine') } },
          { id: 'away', type: 'file', forKinds: ['archives'], opts: { path: join(app.folder, 'away') } },
        ],
      },
    })
    expect((await two.ask('/healthz')).json).toMatchObject({ datastores: { fine: 'up', away: 'up' } })
    await rename(join(app.folder, 'away'), join(app.folder, 'gone'))
    const down = await two.ask('/healthz')
    expect([down.status, down.json['datastores']]).toEqual([200, { fine: 'up', away: 'down' }])
    expect(two.log()).toContain('the datastore cannot be used')
    expect(await two.upload('x')).toContain('example.org/')
    await rename(join(app.folder, 'gone'), join(app.folder, 'away'))
    expect((await two.ask('/healthz')).json).toMatchObject({ datastores: { away: 'up' } })
    expect(two.log()).toContain('the datastore can be used again')
  })
})

describeWith('postgres', 'healthz on PostgreSQL', () => {
  test('answers 503 when the database is gone', async () => {
    const database = await freshDatabase()
    await using other = await startApp({ config: { database: { postgres: database.url } } })
    expect((await other.ask('/healthz')).status).toBe(200)
    await database[Symbol.asyncDispose]()
    const { status, json } = await other.ask('/healthz')
    expect([status, json]).toMatchObject([503, { ok: false, status: 'the database cannot be used' }])
    expect(await other.ask('/_matrix/media/v3/download/example.org/abc')).toMatchObject({ status: 503 })
  })
})

const metrics = async (path: string) => await (await fetch(`http://127.0.0.1:${metricsPort}${path}`)).text()

describe('The metrics', () => {
  test("have MMR's names at both of its paths, on a port of their own", async () => {
    const media = await app.upload(randomBytes(20))
    await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })
    await app.ask('/_matrix/client/v1/media/config')
    await app.ask('/_matrix/client/v1/media/config', { headers: { host: 'else.example' } })
    for (const path of ['/metrics', '/_media/metrics']) {
      const text = await metrics(path)
      expect(text).toMatch(/^media_http_requests_total\{host="example\.org",action="download",method="GET"\} [1-9]/m)
      expect(text).toMatch(/^media_http_requests_total\{host="example\.org",action="upload",method="POST"\} [1-9]/m)
      expect(text).toMatch(
        /^media_http_responses_total\{host="example\.org",action="config",method="GET",statusCode="401"\} /m,
      )
      expect(text).toMatch(
        /^media_http_response_time_seconds_count\{host="example\.org",action="download",method="GET"\} /m,
      )
      expect(text).toMatch(/^media_invalid_http_requests_total\{action="config",method="GET"\} [1-9]/m)
      expect(text).toMatch(/^media_age_accessed_media_seconds_count [1-9]/m)
      expect(text).toMatch(/^cellarium_uploads_total\{host="example\.org"\} [1-9]/m)
      expect(text).toMatch(/^cellarium_internal_errors_total 0$/m)
    }
    expect((await app.ask('/metrics')).status).toBe(404)
  })

  test('say which homeservers give no answer, of those that are configured', async () => {
    const port = await freePort()
    const config = { metrics: { enabled: true, port } }
    await using place = await startApp({ config })
    const text = async () => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    place.homeserver.misbehave({ status: 502 })
    expect((await place.ask('/_matrix/client/v1/media/config', { token: ALICE.token })).status).toBe(502)
    expect(await text()).toMatch(/^cellarium_homeserver_up\{host="example\.org",purpose="users"\} 0$/m)
    await place.reload({ ...config, homeservers: [{ name: 'else.example', csApi: place.homeserver.url }] })
    expect(await text()).toMatch(/^cellarium_homeserver_up\{host="example\.org",purpose="users"\} 1$/m)
  })
})

test('No token of these tests is in the log, nor is anything called an internal error', async () => {
  await app.ask(`/_matrix/client/v1/media/config?access_token=${ALICE.token}`)
  await app.ask(`/_matrix/client/v1/media/config?access%5Ftoken=${ALICE.token}`)
  for (const token of [ALICE.token, BOB.token, 'syt_nobody']) expect(app.log()).not.toContain(token)
  expect(app.log()).not.toContain('internal error')
})
