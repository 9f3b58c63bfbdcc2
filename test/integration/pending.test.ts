import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type Asked, BOB, eventually, heldClock, mediaOf, startApp, type TestApp } from '../support/app.ts'

const CREATE = '/_matrix/media/v1/create'
const MAX_PENDING = 3
const MAX_AGE_S = 600
/** How often those who wait look for themselves, and a little more. */
const LOOKS_EVERY_MS = 1100

let app: TestApp
const clock = heldClock()
beforeAll(async () => {
  const uploads = { maxBytes: 1000, maxPending: MAX_PENDING, maxAgeSeconds: MAX_AGE_S }
  const other = { name: 'other.org', csApi: 'http://127.0.0.1:9' }
  app = await startApp({
    config: { uploads, repo: { freezeUnauthenticatedMedia: false } },
    clock,
    otherHomeservers: [other],
  })
})
afterAll(() => app[Symbol.asyncDispose]())

const create = (token = ALICE.token) => app.ask(CREATE, { method: 'POST', token })
const put = (media: string, asked: Asked = {}, version = 'v3') =>
  app.ask(`/_matrix/media/${version}/upload/${media}`, { method: 'PUT', token: ALICE.token, body: 'content', ...asked })
const download = (media: string, query = '') =>
  app.ask(`/_matrix/client/v1/media/download/${media}${query}`, { token: BOB.token })
const refusal = (status: number, errcode: string) => ({ status, json: { errcode } })
/** An id of Alice's; those of before no longer count. */
async function reserve(): Promise<string> {
  clock.wait(MAX_AGE_S * 1000)
  return mediaOf(await create())
}

describe('create', () => {
  test('gives an id and says until when it waits, in ms', async () => {
    const before = clock.now()
    const { status, json } = await create(BOB.token)
    expect(status).toBe(200)
    expect(json).toEqual({
      content_uri: expect.stringMatching(/^mxc:\/\/example\.org\/[A-Za-z0-9_-]+$/),
      unused_expires_at: expect.any(Number),
    })
    expect(Number(json['unused_expires_at'])).toBeGreaterThanOrEqual(before + MAX_AGE_S * 1000)
    expect(Number(json['unused_expires_at'])).toBeLessThanOrEqual(clock.now() + MAX_AGE_S * 1000)
  })

  test('may come with a body that nobody needs', async () => {
    clock.wait(MAX_AGE_S * 1000)
    const headers = { 'content-type': 'application/json' }
    expect(await app.ask(CREATE, { method: 'POST', token: ALICE.token, body: '{}', headers })).toMatchObject({
      status: 200,
    })
  })

  test('stops at maxPending ids per user, and says when the first of them ends', async () => {
    clock.wait(MAX_AGE_S * 1000)
    await create()
    clock.wait(100_000)
    for (let more = 1; more < MAX_PENDING; more++) expect((await create()).status).toBe(200)
    const refused = await create()
    expect(refused).toMatchObject(refusal(429, 'M_LIMIT_EXCEEDED'))
    const { retry_after_ms: ms } = refused.json
    expect(Number(ms)).toBeGreaterThan((MAX_AGE_S - 101) * 1000)
    expect(Number(ms)).toBeLessThanOrEqual((MAX_AGE_S - 100) * 1000)
    expect(refused.headers['retry-after']).toBe(String(Math.ceil(Number(ms) / 1000)))
    expect((await create(BOB.token)).status).toBe(200)
    clock.wait(Number(ms))
    expect((await create()).status).toBe(200)
    expect((await create()).status).toBe(429)
  })

  test('counts an id no more once its content is here', async () => {
    clock.wait(MAX_AGE_S * 1000)
    const ids = []
    for (let count = 0; count < MAX_PENDING; count++) ids.push(mediaOf(await create()))
    expect((await create()).status).toBe(429)
    await put(ids[0] ?? '')
    expect((await create()).status).toBe(200)
  })
})

describe('PUT upload', () => {
  test.each(['r0', 'v1', 'v3'])('to %s brings the content, with its type and name', async (version) => {
    const media = await reserve()
    const body = randomBytes(500)
    const asked = { body, headers: { 'content-type': 'img/png' } }
    const answer = await put(`${media}?filename=a%20b`, asked, version)
    expect([answer.status, answer.json]).toEqual([200, {}])
    const back = await download(media)
    expect(back.body.equals(body)).toBe(true)
    expect(back.headers).toMatchObject({
      'content-type': 'img/png',
      'content-disposition': 'attachment; filename="a b"',
    })
  })

  test('with the same content as another upload keeps its own id', async () => {
    const body = randomBytes(500)
    const first = await app.upload(body)
    const media = await reserve()
    expect((await put(media, { body })).status).toBe(200)
    expect(media).not.toBe(first)
    expect((await download(media)).body.equals(body)).toBe(true)
  })

  test.each([
    ['empty', { body: '' }],
    ['too large', { body: Buffer.alloc(2000) }],
    ['a form', { headers: { 'content-type': 'multipart/form-data; boundary=x' } }],
    ['by somebody else', { token: BOB.token }],
  ])('to an id that has its content is refused with 409 first of all, also when it is %s', async (_, asked) => {
    const media = await reserve()
    await put(media)
    expect(await put(media, asked)).toMatchObject(refusal(409, 'M_CANNOT_OVERWRITE_MEDIA'))
    const name = `?filename=${'x'.repeat(300)}`
    expect(await put(`${media}${name}`, asked)).toMatchObject(refusal(409, 'M_CANNOT_OVERWRITE_MEDIA'))
    expect(String((await download(media)).body)).toBe('content')
  })

  test('to the id of an ordinary upload is refused with 409', async () => {
    const media = await app.upload(randomBytes(10))
    expect(await put(media)).toMatchObject(refusal(409, 'M_CANNOT_OVERWRITE_MEDIA'))
  })

  test("to somebody else's id is refused", async () => {
    expect(await put(await reserve(), { token: BOB.token })).toMatchObject(refusal(403, 'M_FORBIDDEN'))
  })

  test.each(['example.org/never_created', 'example.org/..', 'example.org/a%2Fb', 'example.org/%00', 'else.org/abc'])(
    'to %s, which nobody created, is not found',
    async (media) => {
      expect(await put(media)).toMatchObject(refusal(404, 'M_NOT_FOUND'))
    },
  )

  test('through the host of another homeserver is not found there', async () => {
    const media = await reserve()
    await app.reload({
      uploads: { maxBytes: 1000, maxPending: MAX_PENDING, maxAgeSeconds: MAX_AGE_S },
      repo: { freezeUnauthenticatedMedia: false },
      sharedSecretAuth: { enabled: true, token: 'secret_of_the_admin' },
    })
    const headers = { host: 'other.org' }
    expect(await put(media, { headers, token: 'secret_of_the_admin' })).toMatchObject(refusal(404, 'M_NOT_FOUND'))
    expect((await put(media)).status).toBe(200)
  })

  test('after the id has expired is not found', async () => {
    const media = await reserve()
    clock.wait(MAX_AGE_S * 1000)
    expect(await put(media)).toMatchObject(refusal(404, 'M_NOT_FOUND'))
  })

  test('that began in time may take longer than the id would have waited', async () => {
    const media = await reserve()
    using connection = await app.connect()
    const head = `Host: example.org\r\nAuthorization: Bearer ${ALICE.token}\r\nContent-Length: 10`
    connection.write(`PUT /_matrix/media/v3/upload/${media} HTTP/1.1\r\n${head}\r\nExpect: 100-continue\r\n\r\n01234`)
    await connection.until(/100 Continue/)
    clock.wait(MAX_AGE_S * 1000)
    connection.write('56789')
    expect(await connection.until(/\{/)).toContain('HTTP/1.1 200 OK')
  })

  test.each([
    ['too large', Buffer.alloc(1001), 413],
    ['with a form', 'form', 415],
    ['broken off', undefined, 0],
  ])('that fails (%s) leaves the id waiting', async (kind, body, status) => {
    const media = await reserve()
    if (body === undefined) await breakOff(media)
    else {
      const headers = { 'content-type': kind === 'with a form' ? 'multipart/form-data' : 'text/plain' }
      expect((await put(media, { body, headers })).status).toBe(status)
    }
    expect(await download(media, '?timeout_ms=1')).toMatchObject(refusal(504, 'M_NOT_YET_UPLOADED'))
    expect((await put(media)).status).toBe(200)
    expect(String((await download(media)).body)).toBe('content')
  })

  test('twice at the same time is taken once', async () => {
    const media = await reserve()
    const statuses = await Promise.all(['one', 'two', 'three'].map(async (body) => (await put(media, { body })).status))
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 409, 409])
  })
})

/** A PUT whose client vanishes in the middle of the body. */
async function breakOff(media: string): Promise<void> {
  using connection = await app.connect()
  const head = `Host: example.org\r\nAuthorization: Bearer ${ALICE.token}\r\nContent-Length: 1000`
  const staged = (await app.files()).length
  connection.write(`PUT /_matrix/media/v3/upload/${media} HTTP/1.1\r\n${head}\r\n\r\n01234`)
  await eventually(async () => (await app.files()).length > staged)
  connection.socket.destroy()
  await eventually(async () => (await app.files()).length === staged)
}

describe('Whoever asks for an id whose content has not come', () => {
  const paths = [
    ['client/v1/media/download', ''],
    ['media/v3/download', ''],
    ['media/r0/download', ''],
    ['client/v1/media/thumbnail', '&width=32&height=32'],
    ['media/v3/thumbnail', '&width=32&height=32'],
  ] as const

  test.each(paths)('is told so after timeout_ms: %s', async (path, query) => {
    const media = await reserve()
    const began = performance.now()
    const answer = await app.ask(`/_matrix/${path}/${media}?timeout_ms=150${query}`, { token: BOB.token })
    expect(answer).toMatchObject(refusal(504, 'M_NOT_YET_UPLOADED'))
    expect(performance.now() - began).toBeGreaterThanOrEqual(145)
    expect(performance.now() - began).toBeLessThan(1000)
  })

  test('gets it at once when it comes', async () => {
    const media = await reserve()
    const waiting = Promise.all(
      paths.slice(0, 3).map(([path]) => app.ask(`/_matrix/${path}/${media}`, { token: BOB.token })),
    )
    await app.upload(randomBytes(5))
    const began = performance.now()
    await put(media)
    expect((await waiting).map(({ body }) => String(body))).toEqual(['content', 'content', 'content'])
    // It is looked for once a second anyway.
    expect(performance.now() - began).toBeLessThan(700)
  })

  test('hears that there is none when the id expires meanwhile, or expired before', async () => {
    const media = await reserve()
    const waiting = download(media)
    await app.upload(randomBytes(5))
    clock.wait(MAX_AGE_S * 1000)
    expect(await waiting).toMatchObject(refusal(404, 'M_NOT_FOUND'))
    expect(await download(media)).toMatchObject(refusal(404, 'M_NOT_FOUND'))
    expect(await app.ask(`/_matrix/media/v3/download/${media}`)).toMatchObject(refusal(404, 'M_NOT_FOUND'))
  })

  test('waits 20 seconds if they do not say how long, or say 0 or less, and 60 seconds at the most', async () => {
    const over: string[] = []
    const media = await reserve()
    const waiting = ['', '?timeout_ms=0', '?timeout_ms=-5', '?timeout_ms=600000'].map(async (query) => {
      const answer = await app.ask(`/_matrix/media/v3/download/${media}${query}`)
      over.push(query)
      return answer
    })
    // By the time a later request is answered, the earlier ones wait.
    await app.upload(randomBytes(5))
    clock.wait(15_000)
    await pause(LOOKS_EVERY_MS)
    expect(over).toEqual([])
    clock.wait(5000)
    await Promise.all(waiting.slice(0, 3))
    clock.wait(35_000)
    await pause(LOOKS_EVERY_MS)
    expect(over).toHaveLength(3)
    clock.wait(5000)
    for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject(refusal(504, 'M_NOT_YET_UPLOADED'))
  })

  test.each(['x', '1.5', '1e3', '99999999999999999999'])(
    'must say how long as a whole number, not %s',
    async (timeout) => {
      expect(await download(await reserve(), `?timeout_ms=${timeout}`)).toMatchObject(refusal(400, 'M_INVALID_PARAM'))
    },
  )

  test('does not wait for an id that nobody reserved', async () => {
    const began = performance.now()
    expect(await download('example.org/nobody')).toMatchObject(refusal(404, 'M_NOT_FOUND'))
    expect(performance.now() - began).toBeLessThan(1000)
  })
})
