import { randomBytes } from 'node:crypto'
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, BOB, mediaOf, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'
import { describeWith } from '../support/services.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'

describeWith('versitygw', 'A server whose files are in a bucket', () => {
  let bucket: Versitygw
  let app: TestApp
  beforeAll(async () => {
    bucket = await startVersitygw()
    const opts = { ...bucket.options, prefixLength: 2 }
    app = await startApp({ config: { datastores: [{ type: 's3', id: 's3', forKinds: ['all'], opts }] } })
  })
  afterAll(async () => {
    await app[Symbol.asyncDispose]()
    await bucket[Symbol.asyncDispose]()
  })

  const get = (media: string, headers = {}, method = 'GET') =>
    app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token, headers, method })

  /** Keys and names of staged files. */
  const objects = () => filesBelow(bucket.folder)
  const staged = () => filesBelow(join(app.folder, 'data', 'staging'))

  test.for([0, 1, 70_000, 3_000_001])(
    '%i bytes come back as they were uploaded, and nothing waits behind',
    async (size) => {
      const bytes = randomBytes(size)
      const media = await app.upload(bytes, { name: 'a.png' })
      const answer = await get(media)
      expect(answer.status).toBe(200)
      expect(answer.body.equals(bytes)).toBe(true)
      expect(answer.headers['content-length']).toBe(String(size))
      expect(answer.headers['content-type']).toBe('image/png')
      expect(await staged()).toEqual([])
    },
  )

  test('parts, HEAD and conditional requests are answered as from a folder', async () => {
    const bytes = randomBytes(500_000)
    const media = await app.upload(bytes)
    const part = await get(media, { range: 'bytes=100000-399999' })
    expect(part.status).toBe(206)
    expect(part.headers['content-range']).toBe('bytes 100000-399999/500000')
    expect(part.body.equals(bytes.subarray(100_000, 400_000))).toBe(true)
    const head = await get(media, {}, 'HEAD')
    expect([head.status, head.headers['content-length']]).toEqual([200, '500000'])
    expect((await get(media, { 'if-none-match': head.headers.etag })).status).toBe(304)
    expect((await get(media, { range: 'bytes=500000-' })).status).toBe(416)
  })

  test('a thumbnail is made of what is in the bucket, and kept there', async () => {
    const media = await app.upload(await noise({ width: 400, height: 300 }).png().toBuffer())
    const before = (await objects()).length
    const path = `/_matrix/client/v1/media/thumbnail/${media}?width=96&height=96&method=crop`
    const first = await app.ask(path, { token: ALICE.token })
    expect(first.status).toBe(200)
    expect((await objects()).length).toBe(before + 1)
    const again = await app.ask(path, { token: ALICE.token })
    expect(again.body.equals(first.body)).toBe(true)
    expect(await staged()).toEqual([])
  })

  test('the same bytes of two people are one object, whose keys have the prefix', async () => {
    const bytes = randomBytes(20_000)
    const before = await objects()
    const one = await app.upload(bytes)
    const two = await app.upload(bytes, { token: BOB.token })
    expect(two).not.toBe(one)
    const added = (await objects()).filter((key) => !before.includes(key))
    expect(added).toHaveLength(1)
    expect(added[0]).toMatch(/^[0-9a-f]{2}\/[0-9a-f]{38}$/)
  })

  test('an upload to a reserved id ends there', async () => {
    const created = await app.ask('/_matrix/media/v1/create', { method: 'POST', token: ALICE.token })
    const media = mediaOf(created)
    const waiting = get(media)
    const bytes = randomBytes(100_000)
    const path = `/_matrix/media/v3/upload/${media}`
    const filled = await app.ask(path, { method: 'PUT', body: bytes, token: ALICE.token })
    expect(filled.status).toBe(200)
    expect((await waiting).body.equals(bytes)).toBe(true)
  })

  test('an object that is lost is not found, and there again when the same bytes are uploaded', async () => {
    const bytes = randomBytes(90_000)
    const before = await objects()
    const media = await app.upload(bytes)
    const [lost = ''] = (await objects()).filter((key) => !before.includes(key))
    await unlink(join(bucket.folder, lost))
    expect((await get(media)).status).toBe(404)
    expect(app.log()).toContain('an object is lost')
    await app.upload(bytes, { token: BOB.token })
    expect((await get(media)).body.equals(bytes)).toBe(true)
  })

  test('twenty files at once are all there', async () => {
    const contents = Array.from({ length: 20 }, (_, index) => randomBytes(150_000 + index))
    const media = await Promise.all(contents.map((bytes) => app.upload(bytes)))
    const answers = await Promise.all(media.map((one) => get(one)))
    for (const [index, { body }] of answers.entries()) expect(contents[index]?.equals(body)).toBe(true)
  })

  test('a server that ends and comes back is noticed, and nothing that was answered is lost', async () => {
    const bytes = randomBytes(200_000)
    const media = await app.upload(bytes)
    await bucket.kill()
    const [upload, download] = await Promise.all([
      app.ask('/_matrix/media/v3/upload', { method: 'POST', body: randomBytes(1000), token: ALICE.token }),
      get(media),
      bucket.restart(),
    ])
    // Both were tried again until the server was back.
    expect(upload.status).toBe(200)
    expect(download.body.equals(bytes)).toBe(true)
    expect(await staged()).toEqual([])
  })
})

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}
