import sharp from 'sharp'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { BOB, startApp, type TestApp } from '../support/app.ts'
import {
  type AnimationName,
  ANIMATIONS,
  drawnFrames,
  framesOf,
  NAMES,
  nearest,
  readAnimation,
} from '../support/animations.ts'
import { quarters } from '../support/images.ts'
import { describeWith } from '../support/services.ts'
import { type AskedByServers, startAskedByServers } from '../support/asking-server.ts'

const CLIENT = '/_matrix/client/v1/media/thumbnail'
/** The animations in test/fixtures have 96 × 72 pixels. */
const SIZES = {
  sizes: [
    { width: 48, height: 36 },
    { width: 200, height: 200 },
  ],
}
const SMALL = 'width=48&height=36'

let app: TestApp
let before = 0
beforeAll(async () => {
  app = await startApp({ config: { thumbnails: SIZES } })
})
beforeEach(async () => {
  await reload({})
  before = generatedInAll()
})
afterAll(() => app[Symbol.asyncDispose]())

/** Decoders stop at the end of a picture, so that each test can have content of its own by what comes after it. */
const another = async (name: AnimationName) => Buffer.concat([await readAnimation(name), randomBytes(8)])
const upload = async (name: AnimationName) => app.upload(await another(name), { type: 'image/png' })
const get = (media: string, query: string) => app.ask(`${CLIENT}/${media}?${query}`, { token: BOB.token })
const reload = (thumbnails: object) => app.reload({ thumbnails: { ...SIZES, ...thumbnails } })
const generatedInAll = () => app.log().split('"msg":"thumbnail generated"').length - 1
const generated = () => generatedInAll() - before
const records = (media: string) =>
  app
    .sql(
      `SELECT variant FROM thumbnails JOIN media ON media.sha256 = source_sha256 WHERE media_id = ? ORDER BY variant`,
      media.slice(media.indexOf('/') + 1),
    )
    .map(({ variant }) => variant)

/** The type and the number of frames; for a still, which of the frames it is. */
async function shown(media: string, query: string): Promise<string> {
  const { status, headers, body } = await get(media, query)
  if (status !== 200) return `${status}`
  const { pages = 1 } = await sharp(body, { animated: true }).metadata()
  if (pages > 1) return `${headers['content-type']} ${pages} frames`
  const { width, height, pixels } = await framesOf(body)
  return `${headers['content-type']} frame ${nearest(pixels[0] ?? body, await drawnFrames(width, height))}`
}

describe('An animation', () => {
  test.each(NAMES)('(%s) moves for who asks for it, and for nobody else', async (name) => {
    const media = await upload(name)
    expect(await shown(media, SMALL)).toBe('image/png frame 4')
    expect(await shown(media, `${SMALL}&animated=false`)).toBe('image/png frame 4')
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
    expect(await shown(media, `${SMALL}&org.matrix.msc2705.animated=true`)).toBe('image/webp 8 frames')
    expect([generated(), records(media)]).toEqual([2, ['animated webp', 'frame 0.5']])
    expect((await get(media, `${SMALL}&animated=true`)).headers).toMatchObject({
      'content-type': 'image/webp',
      'content-disposition': 'inline; filename=thumbnail.webp',
    })
  })

  test('that is asked for moving first is made no second time for that', async () => {
    const media = await upload('gifsicle.gif')
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
    expect(await shown(media, SMALL)).toBe('image/png frame 4')
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
    expect([generated(), records(media)]).toEqual([2, ['animated webp', 'frame 0.5']])
  })

  test('moves for who does not say with defaultAnimated, for nobody without allowAnimated, and follows a reload', async () => {
    const media = await upload('ffmpeg.png')
    await reload({ defaultAnimated: true })
    expect(await shown(media, SMALL)).toBe('image/webp 8 frames')
    expect(await shown(media, `${SMALL}&animated=false`)).toBe('image/png frame 4')
    await reload({ defaultAnimated: true, allowAnimated: false })
    expect(await shown(media, SMALL)).toBe('image/png frame 4')
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/png frame 4')
    expect(generated()).toBe(2)
    await reload({})
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
    expect(generated()).toBe(2)
  })

  test('with more bytes than maxAnimateSizeBytes stands still, until the option allows more', async () => {
    const bytes = await another('gifsicle.gif')
    const { length } = bytes
    const media = await app.upload(bytes)
    await reload({ maxAnimateSizeBytes: length - 1 })
    for (const query of ['&animated=true', '&animated=false', '']) {
      expect(await shown(media, SMALL + query)).toBe('image/png frame 4')
    }
    expect([generated(), records(media)]).toEqual([1, ['frame 0.5']])
    await reload({ maxAnimateSizeBytes: length })
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
    await reload({ maxAnimateSizeBytes: 0 })
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
  })

  test('with too many pixels in all its frames has one still for all who ask, until the option allows more', async () => {
    const media = await upload('img2webp.webp')
    await reload({ maxPixels: 8 * 96 * 72 })
    for (const query of ['&animated=true', '&animated=false', '', '&animated=true']) {
      expect(await shown(media, SMALL + query)).toBe('image/png frame 4')
    }
    expect([generated(), records(media)]).toEqual([1, ['frame 0.5, still within 55296 pixels']])
    await reload({ maxPixels: 8 * 96 * 72 + 1 })
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
  })

  test('stands still where stillFrame says, also after a reload', async () => {
    const media = await upload('imagemagick.gif')
    for (const [stillFrame, frame] of [
      [0, 0],
      [1, 7],
      [0.25, 2],
      [0, 0],
    ]) {
      await reload({ stillFrame })
      expect(await shown(media, SMALL)).toBe(`image/png frame ${frame}`)
    }
    expect(generated()).toBe(3)
  })

  test('is a GIF with animationFormat: gif, and both kinds are kept', async () => {
    const media = await upload('apngasm.png')
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
    await reload({ animationFormat: 'gif' })
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/gif 8 frames')
    expect((await get(media, `${SMALL}&animated=true`)).headers['content-disposition']).toMatch('thumbnail.gif')
    await reload({})
    expect(await shown(media, `${SMALL}&animated=true`)).toBe('image/webp 8 frames')
    expect([generated(), records(media)]).toEqual([2, ['animated gif', 'animated webp']])
  })

  test('no larger than asked is sent as it is where every client shows it moving, and never to who wants a still', async () => {
    for (const name of ['gifsicle.gif', 'img2webp.webp', 'apngasm.png'] as const) {
      const bytes = await another(name)
      const media = await app.upload(bytes)
      const large = 'width=200&height=200'
      const { body, headers } = await get(media, `${large}&animated=true`)
      const { type } = ANIMATIONS[name]
      expect(body.equals(bytes)).toBe(type !== 'image/apng')
      expect(headers['content-type']).toBe(type === 'image/apng' ? 'image/webp' : type)
      expect(await shown(media, `${large}&animated=false`)).toBe('image/png frame 4')
    }
  })
})

describe('A picture that does not move', () => {
  test.each(['png', 'gif', 'webp', 'jpeg'] as const)(
    '(%s) has one thumbnail, whatever is asked for',
    async (format) => {
      const media = await app.upload(await (await quarters({ width: 300, height: 200 })).toFormat(format).toBuffer())
      const etags = new Set<unknown>()
      for (const query of ['&animated=true', '', '&animated=true', '&animated=false']) {
        const { status, headers } = await get(media, SMALL + query)
        expect([status, headers['content-type']]).toEqual([200, /jpeg|webp/.test(format) ? 'image/jpeg' : 'image/png'])
        etags.add(headers['etag'])
      }
      expect([etags.size, generated(), records(media)]).toEqual([1, 1, ['still']])
    },
  )
})

describeWith('openssl', 'Another homeserver', () => {
  test('gets an animation moving when it asks for that', async () => {
    await using servers: AskedByServers = await startAskedByServers({ config: { thumbnails: SIZES } })
    const media = await servers.app.upload(await readAnimation('gifsicle.gif'))
    const id = media.slice(media.indexOf('/') + 1)
    for (const [query, expected] of [
      ['', 'image/png'],
      ['&animated=false', 'image/png'],
      ['&animated=true', 'image/webp'],
    ]) {
      const { status, body } = await servers.ask(`thumbnail/${id}?${SMALL}${query}`)
      expect(status).toBe(200)
      expect(body.toString('latin1')).toMatch(`Content-Type: ${expected}\r\n`)
    }
  }, 60_000)
})
