import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, BOB, type Connection, eventually, mediaOf, startApp, type TestApp } from '../support/app.ts'

const LIMIT = 100_000
const UPLOAD = '/_matrix/media/v3/upload'

let app: TestApp
beforeAll(async () => {
  const other = { name: 'other.org', csApi: 'http://127.0.0.1:9' }
  app = await startApp({ config: { uploads: { maxBytes: LIMIT } }, otherHomeservers: [other] })
})
afterAll(() => app[Symbol.asyncDispose]())

const post = (body: Buffer | string, headers: Record<string, string> = {}, query = '') =>
  app.ask(`${UPLOAD}${query}`, { method: 'POST', body, token: ALICE.token, headers })
const download = (media: string) => app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })
const refusal = (status: number, errcode: string) => ({ status, json: { errcode } })

/** The beginning of a request whose body the test sends by itself. */
async function begin(headers: string, request = `POST ${UPLOAD}`): Promise<Connection> {
  const connection = await app.connect()
  connection.write(
    `${request} HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${ALICE.token}\r\n${headers}\r\n\r\n`,
  )
  return connection
}

/** What a failed upload must not change. */
/** What there is; of usage what it adds up to, since changes are folded into totals now and then. */
async function traces() {
  const rows = ['media', 'objects'].map((table) => app.sql(`select * from ${table}`).length)
  const usage = app.sql(
    `select subject, sum(bytes) as bytes, sum(files) as files
     from (select subject, bytes, files from usage_totals
       union all select subject, bytes, files from usage_changes where subject not like 'uploads %')
     group by subject order by subject`,
  )
  return { rows, usage, files: await app.files() }
}

describe('An upload', () => {
  test.each(['r0', 'v1', 'v3'])('by POST to %s comes back byte for byte, with its type', async (version) => {
    const body = randomBytes(5000)
    const headers = { 'content-type': 'img/png' }
    const path = `/_matrix/media/${version}/upload`
    const answer = await app.ask(path, { method: 'POST', body, token: ALICE.token, headers })
    expect(answer.json).toEqual({ content_uri: expect.stringMatching(/^mxc:\/\/example\.org\/[A-Za-z0-9_-]+$/) })
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json', 'access-control-allow-origin': '*' })
    const back = await download(mediaOf(answer))
    expect([back.body.equals(body), back.headers['content-type']]).toEqual([true, 'img/png'])
  })

  test('without a length (chunked) is as good', async () => {
    using connection = await begin('Transfer-Encoding: chunked')
    connection.write('5\r\nhello\r\n')
    connection.write('7;name=value\r\n, world\r\n0\r\n\r\n')
    const received = await connection.until(/"content_uri":"[^"]+"/)
    const media = /mxc:\/\/([^"]+)/.exec(received)?.[1] ?? ''
    expect(String((await download(media)).body)).toBe('hello, world')
  })

  test('of nothing at all is a file of 0 bytes', async () => {
    const back = await download(await app.upload('', { name: 'empty' }))
    expect([back.status, back.headers['content-length'], back.body.length]).toEqual([200, '0', 0])
  })

  test('of exactly maxBytes is taken', async () => {
    expect((await post(Buffer.alloc(LIMIT, 1))).status).toBe(200)
  })

  test.each([
    ['no token', { authorization: '' }, 'M_MISSING_TOKEN'],
    ['a token nobody has', { authorization: 'Bearer syt_nobody' }, 'M_UNKNOWN_TOKEN'],
  ])('with %s is refused', async (_, headers, errcode) => {
    expect(await app.ask(UPLOAD, { method: 'POST', body: 'x', headers })).toMatchObject(refusal(401, errcode))
  })
})

describe('Too much or too little', () => {
  test('An announced length over maxBytes is refused before any of it was sent, and nothing is kept', async () => {
    const before = await traces()
    using connection = await begin(`Content-Length: ${LIMIT + 1}`)
    expect(await connection.until(/\r\n\r\n.*\}/)).toMatch(/^HTTP\/1\.1 413 [^]*connection: close[^]*"M_TOO_LARGE"/i)
    expect(await traces()).toEqual(before)
  })

  test('A client that waits for 100 Continue is never told to send too much', async () => {
    using connection = await begin(`Content-Length: ${LIMIT + 1}\r\nExpect: 100-continue`)
    const received = await connection.until(/\}/)
    expect(received).toMatch(/^HTTP\/1\.1 413 /)
    connection.socket.end()
    await connection.closed
    expect(connection.received()).not.toContain('100 Continue')
  })

  test.each(['Transfer-Encoding: chunked', `Content-Length: ${10 ** 9}`])(
    'A client that goes on sending sees the 413 and a clean end, not a reset (%s)',
    async (framing) => {
      const before = await traces()
      using connection = await begin(framing)
      const chunk = Buffer.concat([Buffer.from('10000\r\n'), randomBytes(0x10000), Buffer.from('\r\n')])
      while (!connection.received().includes('}') && !connection.error()) {
        connection.write(chunk)
        await pause(1)
      }
      // What was on its way when the answer came, and a little more.
      for (let more = 0; more < 20; more++) connection.write(chunk)
      connection.socket.end()
      await connection.closed
      expect(connection.received()).toMatch(/^HTTP\/1\.1 413 [^]*connection: close[^]*"M_TOO_LARGE"/i)
      expect(connection.error()).toBeUndefined()
      expect(await traces()).toEqual(before)
    },
  )

  test('A client that never stops sending is cut off after a few seconds', async () => {
    using connection = await begin('Transfer-Encoding: chunked')
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), randomBytes(0x10000), Buffer.from('\r\n')])
    const began = Date.now()
    while (!connection.socket.readableEnded && Date.now() - began < 15_000) {
      connection.write(chunk)
      await pause(20)
    }
    expect(connection.received()).toMatch(/^HTTP\/1\.1 413 /)
    expect(connection.socket.readableEnded).toBe(true)
  })

  test('A limit of 0 is none', async () => {
    await using unlimited = await startApp({ config: { uploads: { maxBytes: 0 } } })
    expect(await unlimited.upload(Buffer.alloc(LIMIT * 2))).toContain('example.org/')
  })

  test('By default 99 bytes are too few, known beforehand or not, and 100 are enough', async () => {
    await using strict = await startApp({ config: { uploads: { minBytes: undefined } } })
    const send = (bytes: number, headers: Record<string, string> = {}) =>
      strict.ask(UPLOAD, { method: 'POST', body: Buffer.alloc(bytes), token: ALICE.token, headers })
    for (const headers of [undefined, { 'transfer-encoding': 'chunked' }]) {
      expect(await send(99, headers)).toMatchObject({
        status: 400,
        json: { errcode: 'M_UNKNOWN', mr_errcode: 'M_MEDIA_TOO_SMALL' },
      })
    }
    expect(await strict.files()).toEqual([])
    expect((await send(100)).status).toBe(200)
  })
})

describe('A client that asks first (Expect: 100-continue)', () => {
  test('is told to go on, and then answered', async () => {
    using connection = await begin('Content-Length: 5\r\nExpect: 100-continue')
    await connection.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/)
    connection.write('hello')
    await connection.until(/HTTP\/1\.1 200 [^]*content_uri/)
  })

  test('is told at once that its token is no good', async () => {
    using connection = await app.connect()
    const headers = 'Host: example.org\r\nAuthorization: Bearer syt_nobody\r\nContent-Length: 5\r\nExpect: 100-continue'
    connection.write(`POST ${UPLOAD} HTTP/1.1\r\n${headers}\r\n\r\n`)
    expect(await connection.until(/\}/)).toMatch(/^HTTP\/1\.1 401 /)
  })

  test('may expect things that nobody knows', async () => {
    using connection = await begin('Content-Length: 5\r\nExpect: miracles')
    connection.write('hello')
    expect(await connection.until(/\}/)).toMatch(/^HTTP\/1\.1 200 [^]*content_uri/)
  })
})

describe('The type of an upload', () => {
  test.each([
    ['text/plain; charset=utf-8', 'text/plain; charset=utf-8'],
    ['Text/Plain', 'Text/Plain'],
    ['image/svg', 'image/svg'],
    ['application/x-thing;  a="b c"', 'application/x-thing;  a="b c"'],
    ['', 'application/octet-stream'],
    [';', 'application/octet-stream'],
    ['text', 'application/octet-stream'],
    ['text/html, image/png', 'application/octet-stream'],
    ['image/png\u0080', 'application/octet-stream'],
    [`image/${'x'.repeat(300)}`, 'application/octet-stream'],
    ['audio/x<script>', 'application/octet-stream'],
  ])('%j is kept as %j', async (sent, kept) => {
    const answer = await post(randomBytes(20), { 'content-type': sent })
    expect((await download(mediaOf(answer))).headers['content-type']).toBe(kept)
  })

  test('is application/octet-stream when there is none', async () => {
    const back = await download(mediaOf(await post(randomBytes(20))))
    expect(back.headers).toMatchObject({ 'content-type': 'application/octet-stream' })
    expect(back.headers['content-disposition']).toBe('attachment')
  })

  test.each(['multipart/form-data; boundary=x', 'Multipart/Form-Data', ' multipart/form-data'])(
    '%j is refused: a form is not the file in it',
    async (type) => {
      const before = await traces()
      expect(await post(randomBytes(20), { 'content-type': type })).toMatchObject(refusal(415, 'M_UNKNOWN'))
      expect(await traces()).toEqual(before)
    },
  )
})

describe('The name of an upload', () => {
  test.each([
    ['cat.png', 'attachment; filename=cat.png'],
    ['../../etc/passwd', 'attachment; filename=passwd'],
    ['/etc/', 'attachment; filename=etc'],
    ['a\r\nSet-Cookie: b', 'attachment; filename="aSet-Cookie: b"'],
    ['a\u0000b\u007fc', 'attachment; filename=abc'],
    ['\u2615.png', `attachment; filename*=UTF-8''%E2%98%95.png`],
    ['a "b".png', String.raw`attachment; filename="a \"b\".png"`],
    ['x'.repeat(255), `attachment; filename=${'x'.repeat(255)}`],
    ['.hidden', 'attachment; filename=.hidden'],
    ['.', 'attachment'],
    ['..', 'attachment'],
    ['a/..', 'attachment'],
    ['/', 'attachment'],
    ['', 'attachment'],
    ['\r\n', 'attachment'],
  ])('%j comes back as %j', async (name, disposition) => {
    const media = await app.upload(randomBytes(20), { name, type: 'application/x' })
    expect((await download(media)).headers['content-disposition']).toBe(disposition)
  })

  test('may have a space sent as + or as %20', async () => {
    for (const query of ['?filename=a+b', '?filename=a%20b']) {
      const media = mediaOf(await post(randomBytes(20), {}, query))
      expect((await download(media)).headers['content-disposition']).toBe('attachment; filename="a b"')
    }
  })

  test('with bytes that are no UTF-8 does no harm', async () => {
    const media = mediaOf(await post(randomBytes(20), {}, '?filename=%ff%fe'))
    expect((await download(media)).headers['content-disposition']).toBe(
      `attachment; filename*=UTF-8''%EF%BF%BD%EF%BF%BD`,
    )
  })

  test('of more than 255 characters is refused', async () => {
    const before = await traces()
    const answer = await post(randomBytes(20), {}, `?filename=${'x'.repeat(256)}`)
    expect(answer).toMatchObject(refusal(400, 'M_INVALID_PARAM'))
    expect(await traces()).toEqual(before)
  })
})

describe('The same upload again', () => {
  test('by the same user under the same name gets the same MXC URI, another name or user another one', async () => {
    const body = randomBytes(300)
    const first = await app.upload(body, { name: 'a' })
    const files = await app.files()
    expect(await app.upload(body, { name: 'a', type: 'text/plain' })).toBe(first)
    expect(await app.upload(body, { name: 'folder/a' })).toBe(first)
    const others = [
      await app.upload(body, { name: 'b' }),
      await app.upload(body),
      await app.upload(body, { name: 'a', token: BOB.token }),
      await app.upload(randomBytes(300), { name: 'a' }),
    ]
    expect(new Set([first, ...others]).size).toBe(5)
    // Four names of one content, and one other content.
    expect(await app.files()).toHaveLength(files.length + 1)
  })

  test('at the same time is stored once', async () => {
    const body = randomBytes(300)
    const before = await app.files()
    const uploads = Array.from({ length: 10 }, () => app.upload(body, { name: 'at once' }))
    expect(new Set(await Promise.all(uploads)).size).toBe(1)
    expect(await app.files()).toHaveLength(before.length + 1)
  })

  test('of content that is quarantined is refused, and nothing is kept', async () => {
    const body = randomBytes(300)
    const [, mediaId = ''] = (await app.upload(body)).split('/')
    app.sql('update media set quarantined_at = 1 where media_id = ?', mediaId)
    const before = await traces()
    const again = await app.ask(UPLOAD, { method: 'POST', body, token: BOB.token })
    expect(again).toMatchObject(refusal(403, 'M_FORBIDDEN'))
    expect(await traces()).toEqual(before)
  })
})

describe('A broken body', () => {
  test.each([
    ['fewer bytes than announced', 'Content-Length: 1000', 'only this'],
    ['a chunk that ends too early', 'Transfer-Encoding: chunked', '100\r\nonly this'],
    ['chunks without the last one', 'Transfer-Encoding: chunked', '4\r\nonly\r\n'],
    ['a chunk size that is none', 'Transfer-Encoding: chunked', '4\r\nonly\r\nthis\r\n'],
  ])('with %s leaves nothing behind', async (_, framing, body) => {
    const before = await traces()
    using connection = await begin(framing)
    connection.write(body)
    await eventually(async () => (await app.files()).length > before.files.length || connection.received() !== '')
    connection.socket.end()
    await connection.closed
    await eventually(async () => (await app.files()).length === before.files.length)
    expect(connection.received()).not.toMatch(/HTTP\/1\.1 [23]/)
    expect(await traces()).toEqual(before)
  })

  test.each([
    'Content-Length: -1',
    'Content-Length: 0x10',
    'Content-Length: 5, 5',
    'Content-Length: 5\r\nContent-Length: 6',
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'Content-Length: 99999999999999999999999',
    'Transfer-Encoding: gzip',
    'Transfer-Encoding: chunked, identity',
  ])('framed by %j is refused in Matrix words', async (framing) => {
    const before = await traces()
    using connection = await begin(framing)
    connection.write('0\r\n\r\n')
    expect(await connection.until(/\}/)).toMatch(
      /^HTTP\/1\.1 4\d\d [^]*Access-Control-Allow-Origin: \*[^]*"errcode":"M_/,
    )
    await connection.closed
    // Where the head alone was in order, receiving had begun.
    await eventually(async () => (await app.files()).length === before.files.length)
    expect(await traces()).toEqual(before)
  })
})
