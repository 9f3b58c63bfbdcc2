import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import pino from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stage } from '../../src/datastores/staging.ts'
import { Refused, StorageUnavailable } from '../../src/lib/errors.ts'
import { fetchPicture, type PictureOptions, type PictureParts } from '../../src/previews/picture.ts'
import { lookAt } from '../../src/thumbnails/look-at.ts'
import { openThumbnailPool, type ThumbnailPool } from '../../src/thumbnails/pool.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { noise, pngBomb, quarters } from '../support/images.ts'
import { openPreviewFetching, type PreviewFetching, type UrlPreviews } from '../support/preview-fetching.ts'
import { describeWith } from '../support/services.ts'
import { type Handler, type SmallInternet, startSmallInternet } from '../support/small-internet.ts'

const WEB = '203.0.113.80'
const MIB = 1024 * 1024

let internet: SmallInternet
let fetching: PreviewFetching
let pool: ThumbnailPool
let folder: Folder
let parts: PictureParts
const pictures = new Map<string, Handler>()

interface Changes extends Partial<UrlPreviews> {
  readonly maxBytes?: number
  readonly maxPixels?: number
  readonly types?: readonly string[]
  readonly seconds?: number
}

function optionsWith({
  maxBytes = 0,
  maxPixels = 1e6,
  types = ['image/png', 'image/jpeg', 'image/webp'],
  seconds,
  ...changes
}: Changes): PictureOptions {
  const thumbnails = { types: [...types, 'video/mp4', 'audio/mpeg'], maxPixels, maxSourceBytes: 50 * MIB }
  return { ...fetching.options(changes, seconds), downloads: { maxBytes }, thumbnails }
}

/** What becomes of these addresses; a path is one at the web. Nothing is left when it was looked at. */
async function firstOf(addresses: readonly string[], changes: Changes = {}, signal = new AbortController().signal) {
  const candidates = addresses.map((address) => ({ url: new URL(address, 'http://web.test/') }))
  const found = await fetchPicture(parts, optionsWith(changes), candidates, { language: 'en', signal })
  await using picture = found
  if (!picture) return undefined
  const { staged, contentType, width, height, size } = picture
  expect(staged.size).toBe(size)
  return { contentType, width, height, size }
}

const sending =
  (body: Buffer, headers: Readonly<Record<string, string>> = {}, status = 200): Handler =>
  (_, response) =>
    void response.writeHead(status, { 'content-type': 'image/png', ...headers }).end(body)

function rejecting(error: Error): () => Promise<never> {
  return async () => {
    throw error
  }
}

describeWith('openssl', 'A picture for a preview', () => {
  beforeAll(async () => {
    internet = await startSmallInternet()
    internet.dns.set('web.test', { A: [WEB] })
    await internet.add(WEB, 80, {
      certificate: [],
      handler: (request, response) =>
        (pictures.get(request.url ?? '') ?? sending(Buffer.from('none'), {}, 404))(request, response),
    })
    fetching = openPreviewFetching(internet)
    folder = await temporaryFolder()
    const log = pino({ level: 'silent' })
    pool = openThumbnailPool({
      workers: Math.min(2, availableParallelism()),
      jobTimeoutMs: 60_000,
      queueLimit: 100,
      log,
    })
    parts = {
      ...fetching.parts,
      log,
      stage: (source, options) => stage(folder.path, source, options, { passing: true }),
      lookAt: (path, options, signal) => lookAt({ thumbnailPool: pool, scratch: folder.path }, path, options, signal),
    }
    pictures.set('/a.png', sending(await (await quarters({ width: 120, height: 80 })).png().toBuffer()))
    pictures.set('/b.jpg', sending(await (await quarters({ width: 60, height: 90 })).jpeg().toBuffer()))
  })
  afterAll(async () => {
    expect(await readdir(folder.path)).toEqual([])
    await fetching[Symbol.asyncDispose]()
    await internet[Symbol.asyncDispose]()
    await pool.close()
    await folder[Symbol.asyncDispose]()
  })

  test('is what its bytes are, whatever the site calls it', async () => {
    const jpeg = await (await quarters({ width: 64, height: 48 })).jpeg().withMetadata({ orientation: 6 }).toBuffer()
    for (const type of ['image/png', 'text/html', 'application/octet-stream']) {
      pictures.set('/turned', sending(jpeg, { 'content-type': type }))
      expect(await firstOf(['/turned'])).toEqual({
        contentType: 'image/jpeg',
        width: 48,
        height: 64,
        size: jpeg.length,
      })
    }
  })

  test('is the first that will do, of three', async () => {
    pictures.set('/page', sending(Buffer.from('<html>A page about a picture</html>')))
    pictures.set(
      '/broken',
      sending((await (await quarters({ width: 120, height: 80 })).png().toBuffer()).subarray(0, 200)),
    )
    expect(await firstOf(['/a.png', '/b.jpg'])).toMatchObject({ contentType: 'image/png', width: 120, height: 80 })
    expect(await firstOf(['/page', '/broken', '/b.jpg'])).toMatchObject({ contentType: 'image/jpeg', width: 60 })
    pictures.set('/none.png', sending(await (await quarters({ width: 120, height: 80 })).png().toBuffer(), {}, 404))
    expect(await firstOf(['/none.png', '/b.jpg'])).toMatchObject({ contentType: 'image/jpeg', width: 60 })
    expect(await firstOf(['/page', '/broken', '/gone', '/b.jpg'])).toBeUndefined()
    expect(await firstOf(['/page', '/page', '/page', '/page', '/b.jpg'])).toMatchObject({ contentType: 'image/jpeg' })
    expect(await firstOf([])).toBeUndefined()
  })

  test('may stand in the page itself', async () => {
    const png = await (await quarters({ width: 40, height: 30 })).png().toBuffer()
    const address = `data:image/gif;base64,${png.toString('base64')}`
    expect(await firstOf([address])).toEqual({ contentType: 'image/png', width: 40, height: 30, size: png.length })
    expect(await firstOf([address], { maxBytes: png.length - 1 })).toBeUndefined()
    expect(await firstOf(['data:image/png;base64,AAAA', 'data:nothing', '/b.jpg'])).toMatchObject({ width: 60 })
  })

  test('has 10 MiB at most, or downloads.maxBytes, announced or not', async () => {
    const large = await noise({ width: 300, height: 300 }).png().toBuffer()
    pictures.set('/large', sending(large))
    pictures.set('/announced', sending(large, { 'content-length': String(large.length) }))
    for (const path of ['/large', '/announced']) {
      expect(await firstOf([path], { maxBytes: large.length })).toMatchObject({ width: 300 })
      expect(await firstOf([path], { maxBytes: large.length - 1 })).toBeUndefined()
    }
    pictures.set('/endless', (_, response) => {
      const more = () => void (response.write(large) ? setImmediate(more) : response.once('drain', more))
      response.on('error', () => {})
      more()
    })
    expect(await firstOf(['/endless', '/b.jpg'])).toMatchObject({ width: 60 })
    pictures.set('/huge', sending(Buffer.concat([large, Buffer.alloc(10 * MIB)])))
    expect(await firstOf(['/huge'], { maxBytes: 100 * MIB })).toBeUndefined()
  })

  test('has thumbnails.maxPixels at most, and is more than a dot or a line', async () => {
    expect(await firstOf(['/a.png'], { maxPixels: 120 * 80 })).toBeUndefined()
    pictures.set('/bomb', sending(pngBomb(30_000, 30_000)))
    pictures.set('/dot', sending(await (await quarters({ width: 1, height: 1 })).png().toBuffer()))
    pictures.set('/line', sending(await (await quarters({ width: 500, height: 9 })).png().toBuffer()))
    expect(await firstOf(['/bomb', '/dot', '/line'])).toBeUndefined()
  })

  test('is of a type that thumbnails.types has, and no film', async () => {
    expect(await firstOf(['/a.png', '/b.jpg'], { types: ['image/jpeg'] })).toMatchObject({ contentType: 'image/jpeg' })
    pictures.set('/sound', sending(Buffer.concat([Buffer.from('ID3\u0004\0\0\0\0\0\0'), Buffer.alloc(1000)])))
    expect(await firstOf(['/sound'])).toBeUndefined()
  })

  test('breaks off: then it will not do, as little as one that never comes', async () => {
    pictures.set('/half', (_, response) => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('half', () => response.destroy())
    })
    pictures.set('/mute', () => {})
    expect(await firstOf(['/half', '/gone', '/b.jpg'])).toMatchObject({ width: 60 })
    expect(await firstOf(['/mute'], { seconds: 0.3 })).toBeUndefined()
  })

  test('is looked for under the same rules as its page', async () => {
    expect(await firstOf(['/a.png'], { disallowedUrls: ['web.test/*.png'] })).toBeUndefined()
    expect(await firstOf(['/a.png'], { disallowedNetworks: ['203.0.113.0/24'] })).toBeUndefined()
    await firstOf(['/a.png'])
    expect(internet.requests.at(-1)?.headers).toMatchObject({
      accept: expect.stringMatching(/^image\//),
      'user-agent': 'Cellarium (test)',
    })
  })

  test('is no reason to go on without a word when nothing can be stored, or too much is decoded', async () => {
    const wish = { language: 'en', signal: new AbortController().signal }
    const candidates = [{ url: new URL('http://web.test/a.png') }]
    const failing = (changed: Partial<PictureParts>) =>
      fetchPicture({ ...parts, ...changed }, optionsWith({}), candidates, wish)
    for (let time = 0; time < 5; time++) {
      await expect(failing({ stage: rejecting(new StorageUnavailable('full')) })).rejects.toThrow('full')
    }
    await expect(failing({ lookAt: rejecting(new Refused('limited', 'too much')) })).rejects.toThrow('too much')
    // Nothing of the answers is left that would keep a turn at the site.
    expect(await firstOf(['/a.png'])).toMatchObject({ width: 120 })
  })

  test('is given up when whoever wants it has left', async () => {
    pictures.set('/mute', () => {})
    await expect(firstOf(['/mute', '/a.png'], {}, AbortSignal.timeout(200))).rejects.toThrow('aborted due to timeout')
  })
})
