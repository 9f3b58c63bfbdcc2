import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { USUAL_PATIENCE } from '../../src/datastores/s3/bucket.ts'
import { ALICE, type Answered, eventually, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'
import { type Fault, type S3Double, startS3Double } from '../support/s3-double.ts'

/** Enough for a double on a busy machine, and little where a fault makes it wait. */
const PATIENCE = {
  ...USUAL_PATIENCE,
  answerMs: 1500,
  idleMs: 1500,
  retryReadsMs: 1000,
  retryWritesMs: 1000,
  backoffMs: 5,
  backoffAtMostMs: 20,
}

interface Bucket extends AsyncDisposable {
  readonly double: S3Double
  readonly app: TestApp
  readonly download: (media: string, headers?: Record<string, string>, method?: string) => Promise<Answered>
  readonly thumbnail: (media: string) => Promise<Answered>
  readonly upload: (bytes: Buffer) => Promise<Answered>
  /** How many objects the bucket has, and rows and staged files the server. */
  readonly kept: () => Promise<Record<string, number>>
  readonly health: () => Promise<{ readonly status: number; readonly s3: unknown }>
}

/** A server whose only datastore, `s3`, is the double, and that keeps nothing in memory. */
async function start(): Promise<Bucket> {
  await using cleanup = new AsyncDisposableStack()
  const double = cleanup.use(await startS3Double())
  const datastores = [{ type: 's3', id: 's3', forKinds: ['all'], opts: double.options }]
  const config = { datastores, downloads: { cache: { enabled: false } } }
  const app = cleanup.use(await startApp({ config, s3Patience: PATIENCE }))
  const owned = cleanup.move()
  const { token } = ALICE
  const rows = (table: string) => Number(app.sql(`SELECT count(*) AS count FROM ${table}`)[0]?.['count'])
  return {
    double,
    app,
    download: (media, headers = {}, method = 'GET') =>
      app.ask(`/_matrix/client/v1/media/download/${media}`, { token, headers, method }),
    thumbnail: (media) =>
      app.ask(`/_matrix/client/v1/media/thumbnail/${media}?width=96&height=96&method=crop`, { token }),
    upload: (body) => app.ask('/_matrix/media/v3/upload', { method: 'POST', body, token }),
    kept: async () => ({
      stored: double.objects.size,
      objects: rows('objects'),
      media: rows('media'),
      thumbnails: rows('thumbnails'),
      staged: (await readdir(join(app.folder, 'data', 'staging', 'cellarium-s3')).catch(() => [])).length,
    }),
    health: async () => {
      const { status, json } = await app.ask('/healthz')
      return { status, s3: (json['datastores'] as Record<string, unknown>)['s3'] }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const timesLogged = ({ app }: Bucket, text: string) => app.log().split(`"${text}"`).length - 1
const picture = async () => await noise({ width: 400, height: 300 }).png().toBuffer()

/** What every client gets: to be tried again, and browsers may read it. */
function expectOutage({ status, headers, json }: Answered): void {
  expect({ status, json }).toMatchObject({
    status: 503,
    json: { errcode: 'M_UNKNOWN', error: expect.stringContaining('the storage'), retry_after_ms: expect.any(Number) },
  })
  expect(headers['retry-after']).toMatch(/^[1-9]\d*$/)
  expect(headers['access-control-allow-origin']).toBe('*')
  expect(headers['cache-control'] ?? '').not.toContain('immutable')
}

const refused = (status: number, code: string): Fault => ({ kind: 'refused', status, code })

describe('When S3', () => {
  test.for<readonly [string, (double: S3Double) => unknown, ((double: S3Double) => unknown)?]>([
    ['is down', (double) => double.goDown(), (double) => double.comeBack()],
    ['accepts and never answers', (double) => double.failAll({ kind: 'hangs' })],
    ['resets every connection', (double) => double.failAll({ kind: 'reset' })],
    ['answers 503', (double) => double.failAll(refused(503, 'SlowDown'))],
    ['answers 500', (double) => double.failAll(refused(500, 'InternalError'))],
    ['does not know our key any more', (double) => double.failAll(refused(403, 'InvalidAccessKeyId'))],
    ['finds our clock wrong, whatever we do', (double) => double.failAll(refused(403, 'RequestTimeTooSkewed'))],
    [
      'has lost the bucket',
      (double) => (double.settings.bucketMissing = true),
      (double) => (double.settings.bucketMissing = false),
    ],
  ])(
    '%s, everything that needs it is 503, healthz names it, nothing is half-written, and it comes back by itself',
    { timeout: 120_000 },
    async ([, begin, end]) => {
      await using bucket = await start()
      const { double, download, thumbnail, upload } = bucket
      const bytes = await picture()
      const media = await bucket.app.upload(bytes)
      const before = await bucket.kept()
      await begin(double)

      const answers = await Promise.all([
        upload(randomBytes(100_000)),
        upload(randomBytes(0)),
        upload(randomBytes(1_000_000)),
        download(media),
        download(media, { range: 'bytes=1000-1999' }),
        thumbnail(media),
      ])
      for (const answer of answers) expectOutage(answer)
      // Later ones, refused before anything is tried, look alike.
      expectOutage(await upload(randomBytes(1000)))
      expectOutage(await download(media))
      // Of the head everything is known from the record.
      const head = await download(media, {}, 'HEAD')
      expect([head.status, head.headers['content-length']]).toEqual([200, String(bytes.length)])
      expect((await download(media, { 'if-none-match': String(head.headers.etag) })).status).toBe(304)
      expect(await bucket.health()).toEqual({ status: 200, s3: 'down' })
      expect(timesLogged(bucket, 'the datastore cannot be used')).toBe(1)
      expect(await bucket.kept()).toEqual(before)

      double.heal()
      await end?.(double)
      await eventually(async () => (await bucket.health()).s3 === 'up', 60_000)
      const again = await download(media)
      expect([again.status, again.body.equals(bytes)]).toEqual([200, true])
      expect((await thumbnail(media)).status).toBe(200)
      expect((await upload(randomBytes(1000))).status).toBe(200)
      expect((await bucket.kept())['staged']).toBe(0)
      expect(timesLogged(bucket, 'internal error')).toBe(0)
      expect(timesLogged(bucket, 'an object is lost')).toBe(0)
    },
  )

  test('has another time than we, uploads and downloads work all the same', async () => {
    await using bucket = await start()
    for (const skewMs of [20 * 60_000, -24 * 3600_000]) {
      bucket.double.settings.skewMs = skewMs
      const bytes = randomBytes(200_000)
      const media = await bucket.app.upload(bytes)
      expect((await bucket.download(media)).body.equals(bytes)).toBe(true)
    }
    expect(await bucket.health()).toEqual({ status: 200, s3: 'up' })
  })
})

describe('An upload', () => {
  test.for<readonly [string, Fault]>([
    ['S3 stores and never confirms', { kind: 'done without an answer' }],
    ['S3 receives cut short', refused(400, 'IncompleteBody')],
    ['S3 receives with other bytes', refused(400, 'BadDigest')],
    ['S3 has no room for', refused(507, 'XMinioStorageFull')],
  ])('that %s is 503 and leaves nothing behind', { timeout: 120_000 }, async ([, fault]) => {
    await using bucket = await start()
    const before = await bucket.kept()
    // The SDK has things to say there, past the log.
    using written = vi.spyOn(console, 'warn')
    bucket.double.failAll(fault, ['PutObject'])
    const bytes = randomBytes(300_000)
    expectOutage(await bucket.upload(bytes))
    expect(written).not.toHaveBeenCalled()
    expect(await bucket.kept()).toEqual(before)
    bucket.double.heal()
    await eventually(async () => (await bucket.upload(bytes)).status === 200, 60_000)
    const [kept] = bucket.double.objects.values()
    expect(kept?.bytes.equals(bytes)).toBe(true)
    expect(await bucket.kept()).toEqual({ stored: 1, objects: 1, media: 1, thumbnails: 0, staged: 0 })
    expect(timesLogged(bucket, 'internal error')).toBe(0)
  })

  test(
    'whose thumbnail cannot be put is there, and the thumbnail is 503 until it can',
    { timeout: 120_000 },
    async () => {
      await using bucket = await start()
      const media = await bucket.app.upload(await picture())
      const before = await bucket.kept()
      bucket.double.failAll(refused(503, 'SlowDown'), ['PutObject'])
      expectOutage(await bucket.thumbnail(media))
      expect((await bucket.download(media)).status).toBe(200)
      expect(await bucket.kept()).toEqual(before)
      bucket.double.heal()
      await eventually(async () => (await bucket.thumbnail(media)).status === 200, 60_000)
      expect(await bucket.kept()).toEqual({ ...before, stored: 2, objects: 2, thumbnails: 1 })
    },
  )
})

describe('A download that has begun', () => {
  const SIZE = 3_000_000
  const breaks: Fault = { kind: 'body breaks', after: 200_000 }

  test.for<readonly [string, (double: S3Double) => void]>([
    [
      'breaks off, and then S3 answers 503',
      (double) => {
        double.fail('GetObject', breaks)
        double.failAll(refused(503, 'SlowDown'))
      },
    ],
    [
      'stands still, and then S3 does not answer',
      (double) => {
        double.fail('GetObject', { kind: 'body stalls', after: 200_000 })
        double.failAll({ kind: 'hangs' })
      },
    ],
    ['breaks off at each attempt', (double) => double.failAll({ kind: 'body breaks', after: 1000 }, ['GetObject'])],
  ])('and %s ends its connection: it never looks complete', { timeout: 120_000 }, async ([, begin]) => {
    await using bucket = await start()
    const bytes = randomBytes(SIZE)
    const media = await bucket.app.upload(bytes)
    for (const range of [undefined, 'bytes=100000-2899999']) {
      begin(bucket.double)
      const { status, announced, received } = await begun(bucket, media, range)
      expect([status, announced]).toEqual(range ? [206, 2_800_000] : [200, SIZE])
      expect(received.length).toBeLessThan(announced)
      const start = range ? 100_000 : 0
      expect(received.equals(bytes.subarray(start, start + received.length))).toBe(true)
      bucket.double.heal()
      await eventually(async () => (await bucket.health()).s3 === 'up', 60_000)
      expect((await bucket.download(media)).body.equals(bytes)).toBe(true)
    }
    expect(timesLogged(bucket, 'internal error')).toBe(0)
  })

  test('whose object is deleted meanwhile ends its connection, and the log names the object', async () => {
    await using bucket = await start()
    const media = await bucket.app.upload(randomBytes(SIZE))
    const [key = ''] = bucket.double.objects.keys()
    bucket.double.fail('GetObject', breaks)
    bucket.double.failAll(refused(404, 'NoSuchKey'), ['GetObject'])
    const { status, received } = await begun(bucket, media, undefined)
    expect([status, received.length < SIZE]).toEqual([200, true])
    await eventually(() => bucket.app.log().includes(`GetObject ${key} in bucket media`))
    expect(await bucket.health()).toEqual({ status: 200, s3: 'up' })
  })

  test('and breaks off goes on where it stopped, as if nothing had been', async () => {
    await using bucket = await start()
    const bytes = randomBytes(SIZE)
    const media = await bucket.app.upload(bytes)
    const faults: Fault[] = [
      breaks,
      refused(503, 'SlowDown'),
      { kind: 'body stalls', after: 70_000 },
      { kind: 'reset' },
    ]
    for (const part of [undefined, [100_000, 2_900_000] as const]) {
      for (const fault of faults) bucket.double.fail('GetObject', fault)
      const [start, end] = part ?? [0, SIZE]
      const headers = part && { range: `bytes=${start}-${end - 1}` }
      expect((await bucket.download(media, headers)).body.equals(bytes.subarray(start, end))).toBe(true)
    }
    expect(timesLogged(bucket, 'the datastore cannot be used')).toBe(0)
  })
})

describe('An object', () => {
  test.for([
    ['of 99,999 bytes', 100_000, 99_999],
    ['of 100,001 bytes', 100_000, 100_001],
    ['of 999 bytes', 1000, 999],
    ['of no bytes', 1000, 0],
  ] as const)('%s whose record says %i is 404 and no outage, never served', async ([, size, now]) => {
    await using bucket = await start()
    const bytes = randomBytes(size)
    const media = await bucket.app.upload(bytes)
    const [[key, stored] = []] = bucket.double.objects
    if (!key || !stored) throw new Error('nothing was put')
    bucket.double.objects.set(key, { ...stored, bytes: Buffer.concat([bytes, bytes]).subarray(0, now) })
    for (const answer of [
      await bucket.download(media),
      await bucket.download(media, { range: 'bytes=10-19' }),
      await bucket.thumbnail(media),
    ]) {
      expect([answer.status, answer.json['errcode']]).toEqual([404, 'M_NOT_FOUND'])
    }
    expect(bucket.app.log()).toContain('an object is lost')
    expect(await bucket.health()).toEqual({ status: 200, s3: 'up' })
    bucket.double.objects.set(key, stored)
    expect((await bucket.download(media)).body.equals(bytes)).toBe(true)
  })

  test('whose answer is cut short as if it were whole is not served as whole', async () => {
    await using bucket = await start()
    for (const size of [1000, 1_000_000]) {
      const bytes = randomBytes(size)
      const media = await bucket.app.upload(bytes)
      bucket.double.fail('GetObject', { kind: 'body is short', after: size - 1 })
      expect((await bucket.download(media)).status).toBe(404)
      // Of a part the answer says how long the whole is: the rest is asked for.
      bucket.double.fail('GetObject', { kind: 'body is short', after: 10 })
      const part = await bucket.download(media, { range: 'bytes=100-899' })
      expect([part.status, part.body.equals(bytes.subarray(100, 900))]).toEqual([206, true])
      expect((await bucket.download(media)).body.equals(bytes)).toBe(true)
    }
  })
})

interface Begun {
  readonly status: number
  /** What `Content-Length` says, and what came before the connection ended. */
  readonly announced: number
  readonly received: Buffer
}

/** Downloads over a bare connection, to its end, however that is. */
async function begun({ app }: Bucket, media: string, range: string | undefined): Promise<Begun> {
  using connection = await app.connect()
  const headers = ['Host: example.org', `Authorization: Bearer ${ALICE.token}`, ...(range ? [`Range: ${range}`] : [])]
  connection.write(`GET /_matrix/client/v1/media/download/${media} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
  await connection.closed
  const text = connection.received()
  const end = text.indexOf('\r\n\r\n')
  const head = text.slice(0, end)
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    announced: Number(/^content-length: (\d+)/im.exec(head)?.[1]),
    received: Buffer.from(text.slice(end + 4), 'latin1'),
  }
}
