import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, BOB, eventually, GUEST, startApp, type TestApp } from '../support/app.ts'
import { noise, pngBomb, quarters } from '../support/images.ts'
import { temporaryFolder } from '../support/folder.ts'

const CONFIG = { repo: { freezeUnauthenticatedMedia: false }, thumbnails: { maxPixels: 12_000_000 } }
const CLIENT = '/_matrix/client/v1/media/thumbnail'
const PATHS = [CLIENT, ...['r0', 'v1', 'v3'].map((version) => `/_matrix/media/${version}/thumbnail`)]

let app: TestApp
/** PNG of 1200 × 800 pixels. */
let media: string
beforeAll(async () => {
  app = await startApp({ config: CONFIG })
  media = await app.upload(await png(1200, 800))
})
afterAll(() => app[Symbol.asyncDispose]())

const png = async (width: number, height: number) => await (await quarters({ width, height })).png().toBuffer()
const get = (wanted: string, query: string, method = 'GET', path = CLIENT) =>
  app.ask(`${path}/${wanted}?${query}`, { token: BOB.token, method })
const generated = (running = app) => running.log().split('"msg":"thumbnail generated"').length - 1
const refusal = (status: number, errcode: string) => ({ status, json: { errcode } })
const workers = async () =>
  (await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')).split(' ').filter(Boolean).map(Number)

async function sizeOf(body: Buffer): Promise<string> {
  const { width, height, format } = await sharp(body).metadata()
  return `${format} ${width}x${height}`
}

/** The colour, as `rgb` with 0 or 1 for each, in the middle of each quarter, from the upper left. */
async function coloursOf(body: Buffer): Promise<string[]> {
  const { data, info } = await sharp(body).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = (x: number, y: number) => {
    const first = (Math.floor(y * info.height) * info.width + Math.floor(x * info.width)) * info.channels
    return [...data.subarray(first, first + 3)].map((value) => (value > 127 ? 1 : 0)).join('')
  }
  return [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75)]
}
const UPRIGHT = ['100', '010', '001', '110']

describe('A thumbnail', () => {
  test.each([
    ['width=32&height=32', 'png 32x21'],
    ['width=32&height=32&method=scale', 'png 32x21'],
    ['width=32&height=32&method=crop', 'png 32x32'],
    ['width=96&height=96&method=crop', 'png 96x96'],
    ['width=320&height=240&method=scale', 'png 320x213'],
    ['width=640&height=480&method=scale', 'png 640x427'],
    ['width=800&height=600&method=scale', 'png 800x533'],
    // The next larger configured size, and in its bounds the shape asked for.
    ['width=33&height=33&method=crop', 'png 96x96'],
    ['width=100&height=200&method=crop', 'png 120x240'],
    ['width=5000&height=5000&method=scale', 'png 800x533'],
    ['width=9999999&height=99999999999999999999&method=scale', 'png 800x533'],
  ])('for %s is %s on all paths, and has the colours where they belong', async (query, expected) => {
    for (const path of PATHS) {
      const answer = await get(media, query, 'GET', path)
      expect([answer.status, await sizeOf(answer.body)]).toEqual([200, expected])
      expect(answer.headers).toMatchObject({
        'content-type': 'image/png',
        'content-disposition': 'inline; filename=thumbnail.png',
        'content-length': String(answer.body.length),
        'cache-control': 'private, max-age=259200, immutable',
        'cross-origin-resource-policy': 'cross-origin',
        'access-control-allow-origin': '*',
      })
      expect(await coloursOf(answer.body)).toEqual(UPRIGHT)
    }
  })

  test('is any size with dynamicSizing, up to the largest', async () => {
    await using dynamic = await startApp({ config: { ...CONFIG, thumbnails: { dynamicSizing: true } } })
    const wanted = await dynamic.upload(await png(1200, 800))
    const size = async (query: string) =>
      await sizeOf((await dynamic.ask(`${CLIENT}/${wanted}?${query}`, { token: ALICE.token })).body)
    expect(await size('width=50&height=70&method=crop')).toBe('png 50x70')
    expect(await size('width=50&height=70&method=scale')).toBe('png 50x33')
    expect(await size('width=3000&height=3000&method=scale')).toBe('png 800x533')
  })

  test('has the same headers for HEAD, and is had by guests', async () => {
    const [whole, head] = [await get(media, 'width=32&height=32'), await get(media, 'width=32&height=32', 'HEAD')]
    expect([head.status, head.body.length]).toEqual([200, 0])
    for (const name of ['content-length', 'content-type', 'etag', 'content-disposition']) {
      expect(head.headers[name]).toBe(whole.headers[name])
    }
    expect((await app.ask(`${CLIENT}/${media}?width=32&height=32`, { token: GUEST.token })).status).toBe(200)
    expect((await app.ask(`${CLIENT}/${media}?width=32&height=32`)).status).toBe(401)
  })

  test('is not sent again to who has it', async () => {
    const { headers } = await get(media, 'width=32&height=32')
    const again = { token: BOB.token, headers: { 'if-none-match': String(headers['etag']) } }
    expect((await app.ask(`${CLIENT}/${media}?width=32&height=32`, again)).status).toBe(304)
    expect((await app.ask(`${CLIENT}/${media}?width=96&height=96`, again)).status).toBe(200)
  })

  test('of a picture whose camera was held on its side stands upright', async () => {
    const upright = await quarters({ width: 600, height: 400 })
    for (const orientation of [3, 6, 8]) {
      const turned = await sharp(await upright.clone().png().toBuffer())
        .rotate({ 3: 180, 6: 270, 8: 90 }[orientation] ?? 0)
        .jpeg({ quality: 95 })
        .withMetadata({ orientation })
        .toBuffer()
      const { body, headers } = await get(await app.upload(turned, { type: 'image/jpeg' }), 'width=96&height=96')
      expect([headers['content-type'], await sizeOf(body)]).toEqual(['image/jpeg', 'jpeg 96x64'])
      expect(await coloursOf(body)).toEqual(UPRIGHT)
      expect((await sharp(body).metadata()).orientation).toBeUndefined()
    }
  })

  test('of a picture in the colours of print (CMYK) is in those of screens', async () => {
    const cmyk = await (
      await quarters({ width: 600, height: 400 })
    )
      .toColourspace('cmyk')
      .jpeg({ quality: 95 })
      .toBuffer()
    const { body } = await get(await app.upload(cmyk, { type: 'image/jpeg' }), 'width=96&height=96')
    expect(await sizeOf(body)).toBe('jpeg 96x64')
    expect((await sharp(body).metadata()).space).toBe('srgb')
    const small = await sharp(cmyk).resize(30, 20).toColourspace('cmyk').jpeg().toBuffer()
    const shown = await get(await app.upload(small, { type: 'image/jpeg' }), 'width=96&height=96')
    expect((await sharp(shown.body).metadata()).space).toBe('srgb')
  })

  test.each(['scale', 'crop'])('of a picture that is smaller is the picture itself (%s)', async (method) => {
    const small = await png(20, 10)
    const { body, headers } = await get(await app.upload(small), `width=96&height=96&method=${method}`)
    expect(body.equals(small)).toBe(true)
    expect(headers).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': 'inline; filename=thumbnail.png',
    })
  })

  test.each([
    ['image/jpeg', 'jpeg 96x64', async () => await (await quarters({ width: 600, height: 400 })).jpeg().toBuffer()],
    ['image/gif', 'png 96x64', async () => await (await quarters({ width: 600, height: 400 })).gif().toBuffer()],
    ['image/webp', 'jpeg 96x64', async () => await (await quarters({ width: 600, height: 400 })).webp().toBuffer()],
    ['image/avif', 'jpeg 96x64', async () => await (await quarters({ width: 600, height: 400 })).avif().toBuffer()],
    ['image/tiff', 'jpeg 96x64', async () => await (await quarters({ width: 600, height: 400 })).tiff().toBuffer()],
  ])('of %s is %s, whatever its sender called it', async (_, expected, make) => {
    for (const type of ['image/png', 'application/octet-stream']) {
      const wanted = await app.upload(await make(), { type, name: type })
      expect(await sizeOf((await get(wanted, 'width=96&height=96')).body)).toBe(expected)
    }
  })
})

describe('With thumbnails.negotiate, a still', () => {
  let negotiating: TestApp
  beforeAll(async () => {
    negotiating = await startApp({ config: { ...CONFIG, thumbnails: { ...CONFIG.thumbnails, negotiate: true } } })
  })
  afterAll(() => negotiating[Symbol.asyncDispose]())
  const accepting = (wanted: string, accept?: string) =>
    negotiating.ask(`${CLIENT}/${wanted}?width=96&height=96`, { token: BOB.token, headers: accept ? { accept } : {} })

  test('is AVIF or WebP for clients that name them, and PNG or JPEG for others, each made once', async () => {
    const wanted = await negotiating.upload(await png(600, 400))
    const before = generated(negotiating)
    for (let round = 0; round < 2; round++) {
      for (const [accept, type] of [
        ['image/webp', 'webp'],
        ['image/avif,image/webp', 'avif'],
        ['image/*,*/*', 'png'],
        [undefined, 'png'],
      ] as const) {
        const { body, headers, status } = await accepting(wanted, accept)
        expect([status, await sizeOf(body)]).toEqual([200, `${type === 'avif' ? 'heif' : type} 96x64`])
        expect(headers).toMatchObject({
          'content-type': `image/${type}`,
          'content-disposition': `inline; filename=thumbnail.${type}`,
          vary: 'Accept',
        })
        expect(await coloursOf(body)).toEqual(UPRIGHT)
      }
    }
    expect(generated(negotiating)).toBe(before + 3)
  })

  test('that is small already is itself, and 304 says on what it depends', async () => {
    const small = await png(20, 10)
    const wanted = await negotiating.upload(small)
    const { body, headers } = await accepting(wanted, 'image/webp')
    expect(body.equals(small)).toBe(true)
    const again = { token: BOB.token, headers: { accept: 'image/webp', 'if-none-match': String(headers['etag']) } }
    const answer = await negotiating.ask(`${CLIENT}/${wanted}?width=96&height=96`, again)
    expect(answer).toMatchObject({ status: 304, headers: { vary: 'Accept' } })
  })

  test('keeps its transparency', async () => {
    const see = await (await quarters({ width: 200, height: 200, alpha: true })).png().toBuffer()
    const wanted = await negotiating.upload(see)
    for (const accept of ['image/webp', 'image/avif']) {
      const { data } = await sharp((await accepting(wanted, accept)).body)
        .raw()
        .toBuffer({ resolveWithObject: true })
      expect([data[3], data.at(-1)]).toEqual([255, 0])
    }
  })
})

test('Without thumbnails.negotiate a still is PNG or JPEG, whatever the client accepts', async () => {
  const headers = { accept: 'image/avif,image/webp' }
  const answer = await app.ask(`${CLIENT}/${media}?width=96&height=96`, { token: BOB.token, headers })
  expect(answer.headers).toMatchObject({ 'content-type': 'image/png' })
  expect(answer.headers['vary']).toBeUndefined()
})

describe('What cannot be', () => {
  test.each([
    '',
    'width=32',
    'height=32',
    'width=&height=32',
    'width=0&height=32',
    'width=-1&height=32',
    'width=3.5&height=32',
    'width=x&height=32',
    'width=1e3&height=32',
    'width=32&height=32&method=stretch',
  ])('(%j) is refused', async (query) => {
    for (const path of PATHS) expect(await get(media, query, 'GET', path)).toMatchObject(refusal(400, 'M_UNKNOWN'))
  })

  test.each(['animated=perhaps', 'timeout_ms=x'])('(%s) is refused', async (query) => {
    expect(await get(media, `width=32&height=32&${query}`)).toMatchObject(refusal(400, 'M_INVALID_PARAM'))
  })

  test('is refused only after the token', async () => {
    expect(await app.ask(`${CLIENT}/${media}`)).toMatchObject(refusal(401, 'M_MISSING_TOKEN'))
  })

  test.each([
    ['encrypted', async () => randomBytes(5000)],
    ['text', async () => Buffer.from('text '.repeat(100))],
    ['SVG', async () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ['empty', async () => Buffer.alloc(0)],
    ['half a picture', async () => (await noise({ width: 500, height: 500 }).jpeg().toBuffer()).subarray(0, 20_000)],
  ])('(%s content) is refused, and nothing is kept of it', async (_, make) => {
    const wanted = await app.upload(await make())
    const files = await app.files()
    expect(await get(wanted, 'width=96&height=96')).toMatchObject(refusal(400, 'M_UNKNOWN'))
    expect(await app.files()).toEqual(files)
  })

  test('(more pixels than maxPixels) is refused', async () => {
    const wanted = await app.upload(pngBomb(4000, 3000))
    expect(await get(wanted, 'width=96&height=96')).toMatchObject(refusal(413, 'M_TOO_LARGE'))
  })

  test('(more bytes than maxSourceBytes) is refused', async () => {
    await using strict = await startApp({ config: { ...CONFIG, thumbnails: { maxSourceBytes: 1000 } } })
    const wanted = await strict.upload(await noise({ width: 200, height: 200 }).png().toBuffer())
    const answer = await strict.ask(`${CLIENT}/${wanted}?width=32&height=32`, { token: ALICE.token })
    expect(answer).toMatchObject(refusal(413, 'M_TOO_LARGE'))
  })

  test('(types that are not listed: SVG) is refused, and made where they are', async () => {
    const drawing = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"/>')
    const types = { types: ['image/png', 'image/svg+xml'] }
    await using other = await startApp({ config: { ...CONFIG, thumbnails: types } })
    const asked = `${CLIENT}/${await other.upload(drawing, { type: 'text/plain' })}?width=96&height=96`
    expect(await sizeOf((await other.ask(asked, { token: BOB.token })).body)).toBe('png 96x64')
    const jpeg = await other.upload(await noise({ width: 200, height: 200 }).jpeg().toBuffer(), { type: 'image/png' })
    expect(await other.ask(`${CLIENT}/${jpeg}?width=96&height=96`, { token: BOB.token })).toMatchObject(
      refusal(400, 'M_UNKNOWN'),
    )
  })

  test('(unknown media) is not found', async () => {
    expect(await get('example.org/unknown', 'width=32&height=32')).toMatchObject(refusal(404, 'M_NOT_FOUND'))
  })
})

describe('Work', () => {
  test('is done once for all who ask at the same time, and for all copies of the content', async () => {
    const picture = await noise({ width: 900, height: 900 }).jpeg().toBuffer()
    const first = await app.upload(picture)
    const before = generated()
    const answers = await Promise.all(Array.from({ length: 10 }, () => get(first, 'width=96&height=96&method=crop')))
    expect(new Set(answers.map(({ status, headers }) => `${status} ${headers['etag']}`)).size).toBe(1)
    expect(generated()).toBe(before + 1)
    const copy = await app.upload(picture, { token: BOB.token, name: 'copy' })
    expect((await get(copy, 'width=96&height=96&method=crop')).headers['etag']).toBe(answers[0]?.headers['etag'])
    expect(generated()).toBe(before + 1)
  })

  test('is kept: after a restart the thumbnail is there without a decoder being started', async () => {
    await using folder = await temporaryFolder()
    const query = 'width=96&height=96&method=crop'
    let wanted: string
    let made: Buffer
    {
      await using one = await startApp({ config: CONFIG, folder: folder.path })
      wanted = await one.upload(await png(500, 500))
      made = (await one.ask(`${PATHS[3]}/${wanted}?${query}`)).body
      expect(generated(one)).toBe(1)
    }
    const before = await workers()
    await using two = await startApp({ config: CONFIG, folder: folder.path })
    expect((await two.ask(`${PATHS[3]}/${wanted}?${query}`)).body.equals(made)).toBe(true)
    expect([generated(two), await workers()]).toEqual([0, before])
  })

  test('that a killed decoder leaves undone is an error for its caller only; the next picture gets a new decoder', async () => {
    const picture = await noise({ width: 3000, height: 3000 }).png({ compressionLevel: 0 }).toBuffer()
    await using fresh = await startApp({ config: { ...CONFIG, thumbnails: { maxSourceBytes: 0 } } })
    const wanted = await fresh.upload(picture)
    const query = 'width=96&height=96'
    const before = new Set(await workers())
    const asked = fresh.ask(`${PATHS[3]}/${wanted}?${query}`)
    let worker: number | undefined
    await eventually(async () => (worker = (await workers()).find((pid) => !before.has(pid))))
    process.kill(worker ?? 0, 'SIGKILL')
    const { status } = await asked
    expect(status).toBeGreaterThanOrEqual(400)
    expect((await fresh.ask(`${PATHS[3]}/${wanted}?${query}`)).status).toBe(200)
  })
})
