import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { USUAL_PATIENCE } from '../../src/datastores/s3/bucket.ts'
import { ALICE, BOB, eventually, mediaOf, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type S3Double, startS3Double } from '../support/s3-double.ts'

/** Whoever is tried again for so long, or waits for an answer, has not heard that there is no point in it. */
const PATIENCE = { ...USUAL_PATIENCE, retryReadsMs: 3_600_000, retryWritesMs: 3_600_000, answerMs: 3_600_000 }

interface Place extends AsyncDisposable {
  readonly double: S3Double
  readonly app: TestApp
}

/** A server that keeps nothing in memory, with the double as datastore `s3`, and maybe a folder as `disk`. */
async function start(options: { readonly disk?: boolean } = {}): Promise<Place> {
  await using cleanup = new AsyncDisposableStack()
  const double = cleanup.use(await startS3Double())
  const { path } = cleanup.use(await temporaryFolder())
  const s3 = { type: 's3', id: 's3', forKinds: ['all'], opts: double.options }
  const disk = { type: 'file', id: 'disk', forKinds: ['all'], opts: { path } }
  const config = { datastores: options.disk ? [s3, disk] : [s3], downloads: { cache: { enabled: false } } }
  const app = cleanup.use(await startApp({ config, s3Patience: PATIENCE }))
  const owned = cleanup.move()
  return { double, app, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const download = (app: TestApp, media: string) =>
  app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })
const health = async (app: TestApp) => (await app.ask('/healthz')).json['datastores']

describe('When S3 is down', { timeout: 120_000 }, () => {
  test('forty downloads hear of it together, later ones at once, and the log has a line or two', async () => {
    await using place = await start()
    const { app, double } = place
    const bytes = randomBytes(1000)
    const media = await app.upload(bytes)
    await double.goDown()
    const before = app.log().length
    const answers = await Promise.all(Array.from({ length: 40 }, () => download(app, media)))
    for (const { status, headers } of answers) {
      expect([status, headers['retry-after']]).toEqual([503, expect.stringMatching(/^[1-9]/)])
    }
    const upload = await app.ask('/_matrix/media/v3/upload', { method: 'POST', body: bytes, token: BOB.token })
    expect(upload.status).toBe(503)
    const lines = app.log().slice(before).trim().split('\n')
    const loud = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 'warning' || level === 'error')
    // A job of the background may be due just then, and says so for itself.
    const ofRequests = loud.filter(({ job }) => job === undefined).map(({ msg }) => msg)
    expect(ofRequests).toEqual(['a call to S3 failed; trying again', 'the datastore cannot be used'])

    await double.comeBack()
    await eventually(async () => (await download(app, media)).status === 200, 60_000)
    expect(await health(app)).toEqual({ s3: 'up' })
  })

  test('an upload of what lies there goes to another datastore, for all its names, and the old copy is deleted', async () => {
    await using place = await start({ disk: true })
    const { app, double } = place
    const bytes = randomBytes(50_000)
    const media = await app.upload(bytes)
    const where = () => app.sql('SELECT datastore, location FROM objects')
    const [old] = where()
    expect(old?.['datastore']).toBe('s3')
    await double.goDown()
    await Promise.all([1, 2, 3].map(() => download(app, media)))
    const second = mediaOf(await app.ask('/_matrix/media/v3/upload', { method: 'POST', body: bytes, token: BOB.token }))
    for (const name of [media, second]) expect((await download(app, name)).body.equals(bytes)).toBe(true)
    expect(where()).toEqual([{ datastore: 'disk', location: expect.any(String) }])
    expect(app.sql('SELECT datastore, location FROM unused_objects')).toEqual([old])
    expect(app.log()).not.toContain('a lost object comes back')
  })

  test('media are deleted without waiting for it, and their bytes are handed over', async () => {
    await using place = await start()
    const { app, double } = place
    const media = await app.upload(randomBytes(1000))
    const [old] = app.sql('SELECT datastore, location FROM objects')
    double.failAll({ kind: 'hangs' })
    const path = `/_matrix/media/unstable/download/${media}`
    expect((await app.ask(path, { method: 'DELETE', token: ALICE.token })).status).toBe(200)
    expect((await download(app, media)).status).toBe(404)
    expect(app.sql('SELECT datastore, location FROM unused_objects')).toEqual([old])
  })

  test('the server ends all the same, in the middle of a job', async () => {
    await using place = await start()
    const { app, double } = place
    double.failAll({ kind: 'hangs' }, ['DeleteObject'])
    app.sql(`INSERT INTO unused_objects (datastore, location, delete_after) VALUES ('s3', 'gone', 0)`)
    await eventually(() => double.received.some(({ operation }) => operation === 'DeleteObject'), 100_000)
    const began = performance.now()
    await app[Symbol.asyncDispose]()
    expect(performance.now() - began).toBeLessThan(20_000)
    expect(app.log()).not.toContain('the datastore cannot be used')
  })
})
