import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ALICE, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'
import { runProgram } from '../support/processes.ts'
import { type S3Double, startS3Double } from '../support/s3-double.ts'

describe('What requests cost in calls to S3', () => {
  let cleanup: AsyncDisposableStack
  let double: S3Double
  let app: TestApp
  beforeEach(async () => {
    cleanup = new AsyncDisposableStack()
    double = cleanup.use(await startS3Double())
    const datastore = { type: 's3', id: 's3', forKinds: ['all'], opts: double.options }
    app = cleanup.use(await startApp({ config: { datastores: [datastore], downloads: { cache: { enabled: false } } } }))
  })
  afterEach(() => cleanup.disposeAsync())

  const get = (media: string, headers = {}) =>
    app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token, headers })
  const calls = () =>
    double.received.splice(0).map(({ operation, headers }) => `${operation} ${headers.range ?? ''}`.trim())

  test('an upload: one call; one whose bytes are known: a look whether they are there', async () => {
    const bytes = randomBytes(200_000)
    await app.upload(bytes)
    expect(calls()).toEqual(['PutObject'])
    await app.upload(bytes)
    expect(calls()).toEqual(['HeadObject'])
  })

  test('a download, whole or in part: one call, for no more than is sent', async () => {
    // Larger than what is kept in memory when it is asked for again.
    const media = await app.upload(randomBytes(1_500_000))
    calls()
    await get(media)
    expect(calls()).toEqual(['GetObject'])
    expect((await get(media, { range: 'bytes=400000-400999' })).status).toBe(206)
    expect(calls()).toEqual(['GetObject bytes=400000-400999'])
  })

  test('a thumbnail: one call for the picture, one for the result', async () => {
    const picture = await noise({ width: 400, height: 300 }).png().toBuffer()
    const media = await app.upload(picture, { type: 'text/html' })
    calls()
    const path = `/_matrix/client/v1/media/thumbnail/${media}?width=96&height=96&method=crop`
    const { status } = await app.ask(path, { token: ALICE.token })
    expect(status).toBe(200)
    expect(calls()).toEqual(['GetObject', 'PutObject'])
    const types = [...double.objects.values()].map(({ headers }) => headers['content-type'])
    expect(types).toEqual(['application/octet-stream', 'image/png'])
  })

  test('an object that is not there, or may not be read, is noticed before a 200 is sent', async () => {
    const media = await app.upload(randomBytes(500_000))
    double.fail('GetObject', { kind: 'refused', status: 403, code: 'AccessDenied' })
    expect((await get(media)).status).toBeGreaterThanOrEqual(500)
    double.objects.clear()
    expect((await get(media)).status).toBe(404)
  })

  test('a body that breaks off on the way from S3 reaches the client whole', async () => {
    const bytes = randomBytes(2_000_000)
    const media = await app.upload(bytes)
    double.fail('GetObject', { kind: 'body breaks', after: 1_500_000 })
    expect((await get(media)).body.equals(bytes)).toBe(true)
  })
})

test('A server without a bucket does not load the SDK', async () => {
  const app = createRequire(import.meta.url).resolve('../../src/app.ts')
  const program = `
    import { createRequire } from 'node:module'
    await import(${JSON.stringify(app)})
    const loaded = () => Object.keys(createRequire(${JSON.stringify(app)}).cache).filter((name) => name.includes('@aws-sdk'))
    console.log(loaded().length)
    await import('@aws-sdk/client-s3')
    console.log(loaded().length > 0)`
  const printed = await runProgram({ command: [process.execPath, '--input-type=module', '--eval', program] })
  expect(printed.trim().split('\n')).toEqual(['0', 'true'])
})
