import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, BOB, eventually } from '../support/app.ts'
import { begin, downloadOf, type Federated, halved, readWhole, startFederated, thumbnailOf } from '../support/remote.ts'
import { mixed } from '../support/scripted-origin.ts'
import { describeWith } from '../support/services.ts'
import { noise, pngBomb } from '../support/images.ts'

const { token } = ALICE
const MEBIBYTE = 1024 * 1024

describeWith('openssl', 'A file of another server', () => {
  let world: Federated
  beforeAll(async () => void (world = await startFederated()))
  afterAll(() => world[Symbol.asyncDispose]())
  const download = (media: string, asked = {}) => world.app.ask(downloadOf(media), { token, ...asked })
  const rows = (media: string) => world.app.sql('select * from media where media_id = ?', media.split('/')[1] ?? '')

  test.each([0, 1, 100, 100_000, 3 * MEBIBYTE])('is fetched once and then comes from here, %i bytes', async (size) => {
    const bytes = randomBytes(size)
    const media = world.remote.put(bytes)
    const first = await download(media)
    expect([first.status, first.body.equals(bytes)]).toEqual([200, true])
    expect(first.headers).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': 'inline; filename=picture.png',
      'cache-control': 'private, max-age=259200, immutable',
    })
    const second = await download(media)
    expect([second.status, second.body.equals(bytes)]).toEqual([200, true])
    expect(second.headers.etag).toMatch(/^"[0-9a-f]{64}"$/)
    expect(second.headers['content-disposition']).toBe(first.headers['content-disposition'])
    expect(world.remote.asked(media)).toBe(1)
    expect(rows(media)).toMatchObject([{ kind: 'remote', uploader: null, upload_name: 'picture.png' }])
  })

  test('is fetched once for two hundred who ask at once', async () => {
    const bytes = randomBytes(300_000)
    const media = world.remote.put(bytes)
    const answers = await Promise.all(Array.from({ length: 200 }, () => download(media)))
    expect(answers.filter(({ status, body }) => status === 200 && body.equals(bytes))).toHaveLength(200)
    expect(world.remote.asked(media)).toBe(1)
  })

  test('is sent on while it comes, except for its end', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const file = halved(bytes)
    const media = world.remote.put(file.script)
    const response = await begin(world.app, media)
    expect(response.statusCode).toBe(200)
    const received: Buffer[] = []
    response.on('data', (chunk: Buffer) => void received.push(chunk))
    const count = () => received.reduce((sum, { length }) => sum + length, 0)
    await eventually(() => count() > MEBIBYTE / 4)
    expect(rows(media)).toEqual([])
    file.goOn()
    await once(response, 'end')
    expect(Buffer.concat(received).equals(bytes)).toBe(true)
    expect(rows(media)).toHaveLength(1)
  })

  test('is received for those who wait when another one leaves', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const file = halved(bytes, { first: 200_000 })
    const media = world.remote.put(file.script)
    const leaving = await begin(world.app, media)
    const staying = await begin(world.app, media)
    leaving.destroy()
    await eventually(() => world.app.log().includes(`"resource":"${downloadOf(media)}"`))
    file.goOn()
    expect((await readWhole(staying)).equals(bytes)).toBe(true)
    expect(world.remote.asked(media)).toBe(1)
  })

  test('is given up when everybody has left, and fetched anew by the next', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const before = (await world.app.files()).length
    const file = halved(bytes, { first: 200_000 })
    const media = world.remote.put(file.script)
    const responses = [await begin(world.app, media), await begin(world.app, media)]
    const talk = await file.begun
    for (const response of responses) response.destroy()
    await talk.onceHungUp
    await eventually(async () => (await world.app.files()).length === before)
    expect(rows(media)).toEqual([])
    file.goOn()
    const { body } = await download(media)
    expect(body.equals(bytes)).toBe(true)
    expect(world.remote.asked(media)).toBe(2)
  })

  test('is received to its end although everybody has left, when most of it is here', async () => {
    const file = halved(randomBytes(MEBIBYTE), { first: 900_000 })
    const media = world.remote.put(file.script)
    const response = await begin(world.app, media)
    let received = 0
    response.on('data', ({ length }: Buffer) => void (received += length))
    await eventually(() => received > 800_000)
    response.destroy()
    file.goOn()
    await eventually(() => rows(media).length === 1)
  })

  test('that breaks off is no complete answer to anybody, leaves nothing behind, and is fetched anew', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const before = (await world.app.files()).length
    let broken = true
    const media = world.remote.put(async (talk, request) => {
      if (!broken) return await talk.send(mixed(bytes))
      const file = halved(bytes)
      void file.begun.then(() => talk.reset())
      await file.script(talk, request)
    })
    const response = await begin(world.app, media).catch(() => undefined)
    // Where the end of the connection is heard before its first bytes are sent on, there still is an answer that says so.
    if (response?.statusCode === 200) await expect(readWhole(response)).rejects.toThrow('aborted')
    else if (response) expect(response.resume().statusCode).toBe(502)
    await eventually(async () => (await world.app.files()).length === before)
    expect(rows(media)).toEqual([])
    broken = false
    expect((await download(media)).body.equals(bytes)).toBe(true)
  })

  test('is stored as fast as it comes, however slowly somebody reads it', async () => {
    const bytes = randomBytes(20 * MEBIBYTE)
    const media = world.remote.put(bytes)
    const slow = await begin(world.app, media)
    await eventually(() => rows(media).length === 1, 60_000)
    expect((await readWhole(slow)).equals(bytes)).toBe(true)
    expect(world.remote.asked(media)).toBe(1)
  })

  test('has thumbnails at once', async () => {
    const media = world.remote.put(await noise({ width: 64, height: 64 }).png().toBuffer())
    const { status, headers } = await world.app.ask(thumbnailOf(media), { token })
    expect([status, headers['content-type']]).toEqual([200, expect.stringMatching(/^image\//)])
    expect(world.remote.asked(media)).toBe(1)
  })

  test("that is too large for a thumbnail is the other server's doing", async () => {
    const media = world.remote.put(pngBomb(30_000, 30_000))
    for (const path of [thumbnailOf(media), thumbnailOf(await world.app.upload(pngBomb(30_000, 30_000)))]) {
      const { status, json } = await world.app.ask(path, { token })
      expect([status, json['errcode']]).toEqual([path.includes(world.remote.name) ? 502 : 413, 'M_TOO_LARGE'])
    }
  })

  test('is fetched by a HEAD, with all that a later one says', async () => {
    const media = world.remote.put(randomBytes(200_000))
    const first = await download(media, { method: 'HEAD' })
    expect([first.status, first.headers['content-length'], first.body.length]).toEqual([200, '200000', 0])
    const { headers } = await download(media, { method: 'HEAD' })
    expect(headers.etag).toBe(first.headers.etag)
    expect(world.remote.asked(media)).toBe(1)
  })

  test('is answered in parts from the first request on', async () => {
    const bytes = randomBytes(500_000)
    const media = world.remote.put(bytes)
    const { status, headers, body } = await download(media, { headers: { range: 'bytes=1000-200999' } })
    expect([status, headers['content-range']]).toEqual([206, 'bytes 1000-200999/500000'])
    expect(body.equals(bytes.subarray(1000, 201_000))).toBe(true)
  })

  test('is named by whoever asks, if it wants', async () => {
    const media = world.remote.put(randomBytes(100_000))
    const { headers } = await download(`${media}/other.png`)
    expect(headers['content-disposition']).toBe('inline; filename=other.png')
  })

  test('is counted, and said in the log, with where it comes from', async () => {
    const media = world.remote.put(randomBytes(1000))
    await download(media, { token: BOB.token })
    const [line] = world.app
      .log()
      .split('\n')
      .filter((text) => text.includes('fetched from its origin') && text.includes(`"${media.split('/')[1]}"`))
    expect(JSON.parse(line ?? '{}')).toMatchObject({ origin: world.remote.name, bytes: 1000 })
  })
})
