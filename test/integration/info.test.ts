import { createHash } from 'node:crypto'
import { decode, isBlurhashValid } from 'blurhash'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, BOB, startApp, type TestApp } from '../support/app.ts'
import { pngBomb, quarters } from '../support/images.ts'

const BLURHASH = 'xyz.amorgan.blurhash'
const ON = { featureSupport: { MSC2448Blurhash: { enabled: true, xComponents: 5, yComponents: 4 } } }

let app: TestApp
beforeAll(async () => {
  app = await startApp({ config: ON })
})
afterAll(() => app[Symbol.asyncDispose]())

const picture = async () => await (await quarters({ width: 300, height: 200 })).jpeg({ quality: 95 }).toBuffer()
const info = (media: string, asked: { readonly token?: string } = { token: BOB.token }, path = 'unstable/info') =>
  app.ask(`/_matrix/media/${path}/${media}`, asked)
const uploadAsking = async (body: Buffer | string, wish = 'xyz.amorgan.generate_blurhash=true', method = 'POST') => {
  const answer = await app.ask(`/_matrix/media/v3/upload?${wish}`, { method, body, token: ALICE.token })
  expect(answer.status).toBe(200)
  return answer.json as { readonly content_uri: string; readonly [BLURHASH]?: string }
}

/** The colours of the blurred picture, as `rgb` with 0 or 1 for each, near its four corners. */
function coloursOf(blurhash: string): string[] {
  const side = 32
  const pixels = decode(blurhash, side, side)
  const at = (x: number, y: number) =>
    [...pixels.subarray((y * side + x) * 4, (y * side + x) * 4 + 3)].map((value) => (value > 180 ? 1 : 0)).join('')
  return [at(4, 4), at(27, 4), at(4, 27), at(27, 27)]
}

describe('The info of some media', () => {
  test('says what is stored, what decoding tells, and which thumbnails there are', async () => {
    const bytes = await picture()
    const media = await app.upload(bytes, { type: 'image/jpeg' })
    const expected = {
      content_uri: `mxc://${media}`,
      content_type: 'image/jpeg',
      size: bytes.length,
      hashes: { sha256: createHash('sha256').update(bytes).digest('hex') },
      width: 300,
      height: 200,
      animated: false,
      [BLURHASH]: expect.stringMatching(/^.{44}$/),
    }
    for (const path of ['unstable/info', 'unstable/io.t2bot.media/info']) {
      const { status, json } = await info(media, { token: BOB.token }, path)
      expect([status, json]).toEqual([200, { ...expected, thumbnails: [] }])
    }
    const thumbnail = `/_matrix/client/v1/media/thumbnail/${media}?width=32&height=32&method=crop`
    const { body } = await app.ask(thumbnail, { token: ALICE.token })
    const listed = { width: 32, height: 32, method: 'crop', animated: false, ready: true }
    expect((await info(media)).json).toEqual({
      ...expected,
      thumbnails: [{ ...listed, content_type: 'image/jpeg', size: body.length }],
    })
  })

  test('is of the picture as it stands upright, and says whether it moves', async () => {
    const turned = await (
      await quarters({ width: 300, height: 200 })
    )
      .jpeg()
      .withMetadata({ orientation: 6 })
      .toBuffer()
    expect((await info(await app.upload(turned))).json).toMatchObject({ width: 200, height: 300, animated: false })
    const pages = [await quarters({ width: 60, height: 40 }), (await quarters({ width: 60, height: 40 })).negate()]
    const frames = await Promise.all(pages.map((page) => page.png().toBuffer()))
    const moving = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer()
    expect((await info(await app.upload(moving))).json).toMatchObject({ width: 60, height: 40, animated: true })
  })

  test('of what is no picture, or too large a one, is what is stored', async () => {
    for (const bytes of [Buffer.from('some text'), pngBomb(40_000, 40_000)]) {
      const { status, json } = await info(await app.upload(bytes, { type: 'image/png' }))
      const hashes = { sha256: createHash('sha256').update(bytes).digest('hex') }
      expect(status).toBe(200)
      expect(json).toEqual({
        content_uri: expect.any(String),
        content_type: 'image/png',
        size: bytes.length,
        hashes,
        thumbnails: [],
      })
    }
  })

  test('is found out once, also for many who ask at the same time', async () => {
    const media = await app.upload(await (await quarters({ width: 310, height: 200 })).png().toBuffer())
    const answers = await Promise.all(Array.from({ length: 10 }, () => info(media)))
    expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1)
    app.sql(`UPDATE descriptions SET width = 7 WHERE width = 310`)
    expect((await info(media)).json).toMatchObject({ width: 7 })
  })

  test('is for users, and not of what is not there or quarantined', async () => {
    const media = await app.upload(await (await quarters({ width: 50, height: 50 })).png().toBuffer())
    expect((await info(media, {})).status).toBe(401)
    expect((await info('example.org/unknown')).status).toBe(404)
    const [, mediaId = ''] = media.split('/')
    app.sql('UPDATE media SET quarantined_at = 1 WHERE media_id = ?', mediaId)
    expect((await info(media)).status).toBe(404)
  })
})

describe('A blurhash', () => {
  test('comes with the answer to an upload that asks for it, and shows the picture blurred', async () => {
    const { [BLURHASH]: blurhash = '', content_uri } = await uploadAsking(await picture())
    expect(isBlurhashValid(blurhash)).toEqual({ result: true })
    expect(coloursOf(blurhash)).toEqual(['100', '010', '001', '110'])
    expect((await info(content_uri.slice('mxc://'.length))).json).toMatchObject({ [BLURHASH]: blurhash })
    const { json } = await app.ask('/_matrix/media/v1/create', { method: 'POST', token: ALICE.token })
    const reserved = String(json['content_uri']).slice('mxc://'.length)
    const wish = { method: 'PUT', token: ALICE.token, body: await picture() }
    const filled = await app.ask(`/_matrix/media/v3/upload/${reserved}?xyz.amorgan.generate_blurhash=true`, wish)
    expect(filled.json).toEqual({ [BLURHASH]: blurhash })
  })

  test('comes to nobody who does not ask, of nothing that is no picture, and not where it is off', async () => {
    expect(Object.keys(await uploadAsking(await picture(), ''))).toEqual(['content_uri'])
    expect(Object.keys(await uploadAsking(await picture(), 'xyz.amorgan.generate_blurhash=false'))).toHaveLength(1)
    expect(Object.keys(await uploadAsking('some text'))).toEqual(['content_uri'])
    await app.reload({})
    const { content_uri, ...more } = await uploadAsking(
      await (await quarters({ width: 30, height: 20 })).png().toBuffer(),
    )
    expect(more).toEqual({})
    expect((await info(content_uri.slice('mxc://'.length))).json).not.toHaveProperty([BLURHASH])
    await app.reload(ON)
  })

  test('that is asked for in words that mean nothing is refused before anything is stored', async () => {
    const asked = { token: ALICE.token, method: 'POST', body: 'not stored' }
    const before = app.sql('SELECT count(*) AS count FROM media')
    const answer = await app.ask('/_matrix/media/v3/upload?xyz.amorgan.generate_blurhash=perhaps', asked)
    expect(answer).toMatchObject({ status: 400, json: { errcode: 'M_INVALID_PARAM' } })
    expect(app.sql('SELECT count(*) AS count FROM media')).toEqual(before)
  })

  test('is made anew when it is to have more detail, or was not asked for before', async () => {
    const bytes = await (await quarters({ width: 90, height: 80 })).png().toBuffer()
    const { [BLURHASH]: before = '' } = await uploadAsking(bytes)
    await app.reload({ featureSupport: { MSC2448Blurhash: { enabled: true, xComponents: 2, yComponents: 2 } } })
    const { [BLURHASH]: after = '' } = await uploadAsking(bytes)
    expect([before.length, after.length]).toEqual([4 + 2 * 20, 4 + 2 * 4])
    await app.reload(ON)
    expect(await uploadAsking(bytes)).toMatchObject({ [BLURHASH]: before })
  })
})
