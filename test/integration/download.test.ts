import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type Answered, startApp, type TestApp } from '../support/app.ts'

/** Paths under which media that are not frozen can be had, up to the server name. */
const CLIENT = '/_matrix/client/v1/media/download'
const LEGACY = ['/_matrix/media/r0/download', '/_matrix/media/v1/download', '/_matrix/media/v3/download']
const BODY = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251))
const CHUNK = 100

let app: TestApp
/** An `application/x` of 1000 bytes without a name. */
let media: string
beforeAll(async () => {
  const repo = { freezeUnauthenticatedMedia: false }
  app = await startApp({ config: { repo, downloads: { defaultRangeChunkSizeBytes: CHUNK } } })
  media = await app.upload(BODY, { type: 'application/x' })
})
afterAll(() => app[Symbol.asyncDispose]())

const get = (wanted: string, headers: Record<string, string> = {}, method = 'GET') =>
  app.ask(`${CLIENT}/${wanted}`, { token: ALICE.token, headers, method })
const etagOf = (body: Buffer) => `"${createHash('sha256').update(body).digest('hex')}"`
const refusal = (status: number, errcode: string) => ({ status, json: { errcode } })

/** What differs from one answer to the next. */
function settled({ headers }: Answered) {
  const { date: _, 'x-request-id': __, connection: ___, ...rest } = headers
  return rest
}

describe('A download', () => {
  test('carries exactly these headers', async () => {
    const answer = await get(await app.upload(BODY, { type: 'image/png', name: 'a cat.png' }))
    expect(answer.status).toBe(200)
    expect(settled(answer)).toEqual({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, DELETE, OPTIONS',
      'access-control-allow-headers':
        'Origin, X-Requested-With, Content-Type, Accept, Authorization, Date, Range, If-Range, If-None-Match',
      'access-control-expose-headers':
        'Content-Disposition, Content-Length, Content-Range, Accept-Ranges, ETag, Link, Retry-After, X-Request-Id',
      'content-security-policy':
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';",
      'x-content-security-policy': 'sandbox;',
      'cross-origin-resource-policy': 'cross-origin',
      'x-content-type-options': 'nosniff',
      'x-robots-tag': 'noindex, nofollow, noarchive, noimageindex',
      'referrer-policy': 'no-referrer',
      server: 'Cellarium',
      'content-type': 'image/png',
      'content-disposition': 'inline; filename="a cat.png"',
      'content-length': '1000',
      'accept-ranges': 'bytes',
      'cache-control': 'private, max-age=259200, immutable',
      etag: etagOf(BODY),
    })
  })

  test.each([CLIENT, ...LEGACY])('at %s is the same for GET and HEAD, with and without a name', async (path) => {
    for (const name of ['', '/name']) {
      const ask = (method: string) => app.ask(`${path}/${media}${name}`, { token: ALICE.token, method })
      const [whole, head] = [await ask('GET'), await ask('HEAD')]
      expect([whole.status, head.status]).toEqual([200, 200])
      expect(whole.body.equals(BODY)).toBe(true)
      expect(head.body).toHaveLength(0)
      expect(settled(head)).toEqual(settled(whole))
    }
  })

  test('needs no token on the older paths', async () => {
    for (const path of LEGACY) expect((await app.ask(`${path}/${media}`)).body.equals(BODY)).toBe(true)
  })

  test('of a large file comes whole', async () => {
    const large = randomBytes(3_000_001)
    expect((await get(await app.upload(large))).body.equals(large)).toBe(true)
  })

  test('of bytes that are lost is not found, said in the log, and healed by the same upload', async () => {
    const body = randomBytes(777)
    const lost = await app.upload(body)
    const [, mediaId = ''] = lost.split('/')
    app.sql(
      'update objects set location = ? where sha256 = (select sha256 from media where media_id = ?)',
      'gone',
      mediaId,
    )
    expect(await get(lost)).toMatchObject(refusal(404, 'M_NOT_FOUND'))
    expect(app.log()).toContain('an object is lost')
    await app.upload(body, { name: 'again' })
    expect((await get(lost)).body.equals(body)).toBe(true)
  })
})

describe('The file name', () => {
  test.each([
    ['ascii', 'filename=ascii'],
    ['name with spaces', 'filename="name with spaces"'],
    ['name;with;semicolons', 'filename="name;with;semicolons"'],
    ['\u2615', "filename*=UTF-8''%E2%98%95"],
    ['"quoted" \\', String.raw`filename="\"quoted\" \\"`],
    ['f\u00fcr.txt', "filename*=UTF-8''f%C3%BCr.txt"],
    ['100%', 'filename=100%'],
    ['a+b', 'filename=a+b'],
  ])('%j comes back as %j, stored or asked for', async (name, expected) => {
    const stored = await get(await app.upload(BODY, { name, type: 'image/png' }))
    expect(stored.headers['content-disposition']).toBe(`inline; ${expected}`)
    for (const path of [CLIENT, ...LEGACY]) {
      const asked = await app.ask(`${path}/${media}/${encodeURIComponent(name)}`, { token: ALICE.token })
      expect(asked.headers['content-disposition']).toBe(`attachment; ${expected}`)
    }
  })

  test('asked for wins over the one stored', async () => {
    const answer = await get(`${await app.upload(BODY, { name: 'stored' })}/asked`)
    expect(answer.headers['content-disposition']).toBe('inline; filename=asked')
  })

  test('of an upload without one is not made up', async () => {
    expect((await get(media)).headers['content-disposition']).toBe('attachment')
  })

  test.each(['a%0d%0aSet-Cookie:%20x', 'a%00b', '%c2%85', '%e2%80%ae', 'x'.repeat(2000), 'a%2Fb', '..', '%2e%2e'])(
    'asked for as %s splits no header and breaks nothing',
    async (name) => {
      const answer = await get(`${media}/${name}`)
      expect(answer.status).toBe(200)
      expect(answer.headers['set-cookie']).toBeUndefined()
      expect(answer.headers['content-disposition']).toMatch(/^attachment; filename\*?=[\x20-\x7e]+$/)
    },
  )

  test.each(['%ff', '%e2%98', '%', '%zz'])('asked for as %s, which is no text, is refused', async (name) => {
    expect(await get(`${media}/${name}`)).toMatchObject({ status: 400, json: { errcode: 'M_UNKNOWN' } })
  })
})

const INLINE = [
  'text/css text/plain text/csv application/json application/ld+json image/jpeg image/gif image/png image/apng image/webp',
  'image/avif video/mp4 video/webm video/ogg video/quicktime audio/mp4 audio/webm audio/aac audio/mpeg audio/ogg audio/wave',
  'audio/wav audio/x-wav audio/x-pn-wav audio/flac audio/x-flac',
].flatMap((line) => line.split(' '))

describe('Shown in the browser', () => {
  test.each([...INLINE, 'Text/Plain; charset=utf-8', 'IMAGE/PNG', 'image/png;x=y'])('%s is', async (type) => {
    expect((await get(await app.upload(randomBytes(8), { type }))).headers['content-disposition']).toBe('inline')
  })

  test.each([
    'text/html',
    'text/javascript',
    'image/svg+xml',
    'image/svg',
    'application/pdf',
    'application/xhtml+xml',
    'text/xml',
    'image/pngx',
    'ximage/png',
    'application/octet-stream',
    ';',
    'text/html; image/png',
  ])('%s is not', async (type) => {
    expect((await get(await app.upload(randomBytes(8), { type }))).headers['content-disposition']).toBe('attachment')
  })
})

describe('The charset', () => {
  test.each([
    'text/css',
    'text/csv',
    'text/html',
    'text/calendar',
    'text/plain',
    'text/javascript',
    'text/xml',
    'application/json',
    'application/ld+json',
    'application/rtf',
    'image/svg+xml',
  ])('of bare %s is said to be UTF-8', async (type) => {
    expect((await get(await app.upload(randomBytes(8), { type }))).headers['content-type']).toBe(
      `${type}; charset=UTF-8`,
    )
  })

  test.each(['text/plain; charset=latin1', 'text/plain;format=flowed', 'Text/Plain', 'text/markdown', 'image/png'])(
    'of %s is left alone',
    async (type) => {
      expect((await get(await app.upload(randomBytes(8), { type }))).headers['content-type']).toBe(type)
    },
  )
})

describe('A range', () => {
  test.each([
    ['bytes=0-0', 0, 0],
    ['bytes=10-19', 10, 19],
    ['bytes=990-5000', 990, 999],
    ['bytes=-5', 995, 999],
    ['bytes=-5000', 0, 999],
    ['bytes=500-', 500, 500 + CHUNK - 1],
    ['bytes=950-', 950, 999],
    ['bytes=0-999', 0, 999],
  ])('%s gives bytes %i to %i', async (range, start, end) => {
    for (const path of [CLIENT, ...LEGACY]) {
      const answer = await app.ask(`${path}/${media}`, { token: ALICE.token, headers: { range } })
      expect(answer.status).toBe(206)
      expect(answer.headers).toMatchObject({
        'content-range': `bytes ${start}-${end}/1000`,
        'content-length': String(end - start + 1),
        'content-type': 'application/x',
        etag: etagOf(BODY),
      })
      expect(answer.body.equals(BODY.subarray(start, end + 1))).toBe(true)
    }
  })

  test.each(['bytes=0-1,5-6', 'bytes=0-1, -1', 'bytes=5-2', 'bytes=x-y', 'bytes=', 'items=0-1', 'nonsense', 'bytes=-'])(
    '%s is answered with the whole file',
    async (range) => {
      const answer = await get(media, { range })
      expect([answer.status, answer.headers['content-range'], answer.body.length]).toEqual([200, undefined, 1000])
    },
  )

  test.each(['bytes=1000-', 'bytes=1000-1001', 'bytes=-0', 'bytes=99999999999999999999-'])(
    '%s is beyond the file, and the answer says how large it is',
    async (range) => {
      const answer = await get(media, { range })
      expect(answer).toMatchObject(refusal(416, 'M_UNKNOWN'))
      expect(answer.headers).toMatchObject({ 'content-range': 'bytes */1000', 'access-control-allow-origin': '*' })
    },
  )

  test('of an empty file gives the empty file', async () => {
    expect(await get(await app.upload(''), { range: 'bytes=0-' })).toMatchObject({ status: 200 })
  })

  test('counts only while the file is the one the client has (If-Range)', async () => {
    const range = 'bytes=0-9'
    expect((await get(media, { range, 'if-range': etagOf(BODY) })).status).toBe(206)
    for (const other of ['"other"', `W/${etagOf(BODY)}`, 'Sat, 21 Nov 2026 00:00:00 GMT', '*']) {
      expect((await get(media, { range, 'if-range': other })).status).toBe(200)
    }
  })

  test('means nothing to HEAD', async () => {
    const head = await get(media, { range: 'bytes=0-9' }, 'HEAD')
    expect([head.status, head.headers['content-length']]).toEqual([200, '1000'])
  })
})

describe('A client that has the file already', () => {
  test.each([etagOf(BODY), `W/${etagOf(BODY)}`, `"other", ${etagOf(BODY)}`, '*'])(
    'is told so, for GET and HEAD: If-None-Match: %s',
    async (etag) => {
      for (const method of ['GET', 'HEAD']) {
        const answer = await get(media, { 'if-none-match': etag }, method)
        expect([answer.status, answer.body.length]).toEqual([304, 0])
        expect(answer.headers).toMatchObject({
          etag: etagOf(BODY),
          'cache-control': 'private, max-age=259200, immutable',
          'access-control-allow-origin': '*',
        })
      }
    },
  )

  test('is not, when it has another one; also with a range', async () => {
    expect((await get(media, { 'if-none-match': '"other"' })).status).toBe(200)
    expect((await get(media, { 'if-none-match': etagOf(BODY).replaceAll('"', '') })).status).toBe(200)
    expect((await get(media, { 'if-none-match': etagOf(BODY), range: 'bytes=0-1' })).status).toBe(304)
    expect((await get(media, { 'if-none-match': '"other"', range: 'bytes=0-1' })).status).toBe(206)
  })
})
