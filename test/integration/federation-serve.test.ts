/** Our media, as other homeservers get them. */
import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { boundaryOf, readMixed } from '../../src/matrix/mixed.ts'
import { ALICE, BOB, type Answered, eventually, mediaOf } from '../support/app.ts'
import { type AskedByServers, startAskedByServers } from '../support/asking-server.ts'
import { quarters } from '../support/images.ts'
import { describeWith, freePort } from '../support/services.ts'

const BODY = randomBytes(5000)
const NAME = 'a picture ✓.png'
const HOST = 'example.org'

describeWith('openssl', 'Another homeserver', () => {
  const cleanup = new AsyncDisposableStack()
  let servers: AskedByServers
  let metrics = 0
  const upload = async (body: Buffer | string, options = {}) => idOf(await servers.app.upload(body, options))
  const idOf = (media: string) => media.slice(`${HOST}/`.length)

  beforeAll(async () => {
    metrics = await freePort()
    const config = {
      admins: [BOB.userId],
      repo: { freezeUnauthenticatedMedia: true },
      metrics: { enabled: true, bindAddress: '127.0.0.1', port: metrics },
    }
    const other = { name: 'other.example', csApi: 'http://127.0.0.1:9' }
    servers = cleanup.use(await startAskedByServers({ config, otherHomeservers: [other] }))
  }, 60_000)
  afterAll(() => cleanup.disposeAsync())

  test('gets a file in exactly these bytes', async () => {
    const id = await upload(BODY, { type: 'image/png', name: NAME })
    const { status, headers, body } = await servers.ask(`download/${id}`)
    expect(status).toBe(200)
    expect(headers['content-type']).toMatch(/^multipart\/mixed; boundary=[0-9a-f]{32}$/)
    const boundary = String(headers['content-type']).slice('multipart/mixed; boundary='.length)
    const before =
      `\r\n--${boundary}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${boundary}\r\nContent-Type: image/png\r\n` +
      `Content-Disposition: inline; filename*=UTF-8''a%20picture%20%E2%9C%93.png\r\n\r\n`
    expect(body.equals(Buffer.concat([Buffer.from(before), BODY, Buffer.from(`\r\n--${boundary}--\r\n`)]))).toBe(true)
    expect(headers).toMatchObject({
      'content-length': String(body.length),
      'content-disposition': "inline; filename*=UTF-8''a%20picture%20%E2%9C%93.png",
      'cache-control': 'private, max-age=259200, immutable',
      etag: expect.stringMatching(/^W\/"[0-9a-f]{64}"$/),
    })
    expect(headers).not.toHaveProperty('accept-ranges')
  })

  test('gets another boundary each time', async () => {
    const id = await upload(BODY)
    const types = await Promise.all(
      [1, 2, 3].map(async () => (await servers.ask(`download/${id}`)).headers['content-type']),
    )
    expect(new Set(types).size).toBe(3)
  })

  test.each([
    ['nothing at all', 0],
    ['one byte', 1],
    ['what fits into one piece', 60_000],
    ['what is kept in memory', 900_000],
    ['several MiB', 5_000_000],
  ])('gets %s whole, first and again and again', async (_what, size) => {
    const sent = randomBytes(size)
    const id = await upload(sent, { type: 'application/x-made-up', name: 'a "b";é' })
    for (let turn = 0; turn < 4; turn++) {
      const answered = await servers.ask(`download/${id}`)
      expect(answered.headers['content-length']).toBe(String(answered.body.length))
      const { metadata, headers, file } = await partsOf(answered)
      expect(metadata).toEqual({})
      expect(Object.fromEntries(headers)).toEqual({
        'content-type': 'application/x-made-up',
        'content-disposition': "attachment; filename*=UTF-8''a%20%22b%22%3B%C3%A9",
      })
      expect(file.equals(sent)).toBe(true)
    }
  })

  test('gets the type as it was uploaded, and no name where there is none', async () => {
    const { headers } = await partsOf(await servers.ask(`download/${await upload('text', { type: 'text/plain' })}`))
    expect(Object.fromEntries(headers)).toEqual({ 'content-type': 'text/plain', 'content-disposition': 'inline' })
  })

  test('cannot be told of another place by a name or type with line ends in it', async () => {
    const id = await upload(BODY)
    const evil = 'a\r\nLocation: https://evil.test\r\n\r\n'
    servers.app.sql('UPDATE media SET upload_name = ?, content_type = ? WHERE media_id = ?', evil, `x/y${evil}`, id)
    const { headers, file } = await partsOf(await servers.ask(`download/${id}`))
    expect(Object.fromEntries(headers)).toEqual({
      'content-type': 'application/octet-stream',
      'content-disposition': expect.stringMatching(/^attachment; filename\*=UTF-8''a%0D%0ALocation/),
    })
    expect(file.equals(BODY)).toBe(true)
  })

  test('gets a thumbnail, with the bytes that clients get', async () => {
    const picture = await upload(await (await quarters({ width: 400, height: 300 })).png().toBuffer())
    const query = `${picture}?width=96&height=96&method=crop&animated=false&timeout_ms=20000`
    const answered = await servers.ask(`thumbnail/${query}`)
    const { headers, file } = await partsOf(answered)
    expect(Object.fromEntries(headers)).toEqual({
      'content-type': 'image/png',
      'content-disposition': 'inline; filename=thumbnail.png',
    })
    expect(answered.headers['content-length']).toBe(String(answered.body.length))
    const client = await servers.app.ask(`/_matrix/client/v1/media/thumbnail/${HOST}/${query}`, { token: ALICE.token })
    expect(file.equals(client.body)).toBe(true)
  })

  test.each([
    ['thumbnail/ID', 400, 'M_UNKNOWN', 'Width and height are required'],
    ['thumbnail/ID?width=0&height=9', 400, 'M_UNKNOWN', 'width must be'],
    ['thumbnail/ID?width=9&height=9', 400, 'M_UNKNOWN', ''],
    ['download/ID?timeout_ms=soon', 400, 'M_INVALID_PARAM', 'timeout_ms'],
    ['download/unknown', 404, 'M_NOT_FOUND', 'Not found'],
    ['download/..%2F..%2Fetc', 404, 'M_NOT_FOUND', 'Not found'],
    ['thumbnail/unknown?width=9&height=9', 404, 'M_NOT_FOUND', 'Not found'],
    [`download/${HOST}/ID`, 404, 'M_UNRECOGNIZED', ''],
  ])('asking for %s is told %i %s as JSON', async (path, status, errcode, error) => {
    const id = await upload('no picture')
    const answered = await servers.ask(path.replace('ID', id))
    expect(answered).toMatchObject({ status, headers: { 'content-type': 'application/json' } })
    expect(answered.json).toMatchObject({ errcode, error: expect.stringContaining(error) })
  })

  test('gets media of the homeserver that it signs for only, and never what we have of others', async () => {
    const id = await upload(BODY)
    const elsewhere = { destination: 'other.example' }
    expect((await servers.ask(`download/${id}`, elsewhere)).status).toBe(404)
    servers.app.sql(`UPDATE media SET origin = 'remote.test' WHERE media_id = ?`, id)
    expect((await servers.ask(`download/${id}`)).status).toBe(404)
    expect((await servers.ask(`download/${id}`, { destination: 'remote.test' })).json).toMatchObject({
      errcode: 'M_UNAUTHORIZED',
    })
  })

  test('waits for what is announced, and is told 504 when it does not come in time', async () => {
    const created = mediaOf(await servers.app.ask('/_matrix/media/v1/create', { method: 'POST', token: ALICE.token }))
    const early = await servers.ask(`download/${idOf(created)}?timeout_ms=1`)
    expect(early).toMatchObject({ status: 504, json: { errcode: 'M_NOT_YET_UPLOADED' } })
    const waiting = servers.ask(`download/${idOf(created)}?timeout_ms=60000`)
    const put = { method: 'PUT', token: ALICE.token, body: 'at last' }
    await servers.app.ask(`/_matrix/media/v3/upload/${created}`, put)
    expect((await partsOf(await waiting)).file.toString()).toBe('at last')
  })

  test('is told 304 where it has the file, but not where it may not have it any more', async () => {
    const id = await upload(randomBytes(100))
    const { etag = '' } = (await servers.ask(`download/${id}`)).headers
    const known = { headers: { 'if-none-match': etag } }
    expect(await servers.ask(`download/${id}`, known)).toMatchObject({ status: 304, headers: { etag } })
    expect((await servers.ask(`download/${id}`, { headers: { 'if-none-match': etag.slice(2) } })).status).toBe(304)
    expect((await servers.ask(`download/${id}`, { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
    const quarantine = `/_matrix/media/unstable/admin/quarantine/${HOST}/${id}`
    expect((await servers.app.ask(quarantine, { method: 'POST', token: BOB.token })).status).toBe(200)
    for (const asked of [known, {}]) {
      const refused = await servers.ask(`download/${id}`, asked)
      expect(refused).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
      expect((await servers.ask(`thumbnail/${id}?width=9&height=9`, asked)).status).toBe(404)
    }
  })

  test('is told as JSON that a file is lost, before a first byte of it', async () => {
    const id = await upload(randomBytes(3_000_000))
    const { location = '' } = servers.app.sql(
      'SELECT location FROM objects JOIN media USING (sha256) WHERE media_id = ?',
      id,
    )[0] as { location?: string }
    const file = (await servers.app.files()).find((path) => path.endsWith(location)) ?? ''
    await rename(file, `${file}.away`)
    expect(await servers.ask(`download/${id}`)).toMatchObject({
      status: 404,
      headers: { 'content-type': 'application/json' },
      json: { errcode: 'M_NOT_FOUND' },
    })
  })

  test('is not offered ranges and HEAD', async () => {
    const id = await upload(BODY)
    const answered = await servers.ask(`download/${id}`, { headers: { range: 'bytes=0-9' } })
    expect(answered.status).toBe(200)
    expect((await partsOf(answered)).file.equals(BODY)).toBe(true)
    const head = await servers.ask(`download/${id}`, { method: 'HEAD' })
    expect(head).toMatchObject({ status: 405, headers: { allow: 'GET, OPTIONS' } })
  })

  test('counts as a reader, in the metrics and in the time of last access', async () => {
    const id = await upload(BODY)
    servers.app.sql('UPDATE media SET accessed_at = NULL WHERE media_id = ?', id)
    await servers.ask(`download/${id}`)
    const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()
    expect(text).toMatch(
      /media_http_responses_total\{host="example\.org",action="download",method="GET",statusCode="200"\} [1-9]/,
    )
    expect(text).toMatch(/media_age_accessed_media_seconds_count [1-9]/)
    const accessed = () => servers.app.sql('SELECT accessed_at FROM media WHERE media_id = ?', id)[0]?.['accessed_at']
    await eventually(() => typeof accessed() === 'number', 30_000)
  }, 40_000)
})

/** What our own reader makes of an answer. */
async function partsOf({ headers, body }: Answered) {
  const boundary = boundaryOf(String(headers['content-type'])) ?? ''
  const read = await readMixed(chunksOf(body), boundary)
  const chunks: Uint8Array[] = []
  for await (const chunk of read.body) chunks.push(Buffer.from(chunk))
  return { ...read, file: Buffer.concat(chunks) }
}

async function* chunksOf(body: Buffer) {
  for (let at = 0; at < body.length; at += 1000) yield body.subarray(at, at + 1000)
}
