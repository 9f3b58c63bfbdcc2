import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BOB, startApp, type TestApp } from '../support/app.ts'
import { readAnimation } from '../support/animations.ts'
import { film, pdfOf, recording, turned } from '../support/films.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { quarters } from '../support/images.ts'
import { byCjxl, byHeifEnc, byImageMagick } from '../support/picture-makers.ts'
import { makeScene } from '../support/scene.ts'
import { describeWith } from '../support/services.ts'

const BLURHASH = 'xyz.amorgan.blurhash'
const types = [
  ['jpeg', 'png', 'gif', 'webp', 'avif', 'tiff', 'bmp', 'heic', 'jxl', 'svg+xml'].map((type) => `image/${type}`),
  ['audio/wav', 'video/mp4', 'application/pdf'],
].flat()
const config = { thumbnails: { types }, featureSupport: { MSC2448Blurhash: { enabled: true } } }
const scene = makeScene(400, 300)

let folder: Folder
let app: TestApp
beforeAll(async () => {
  folder = await temporaryFolder()
  app = await startApp({ config, environment: { PATH: process.env['PATH'] } })
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** What only decoding tells. */
async function info(bytes: Buffer | string): Promise<Record<string, unknown>> {
  const media = await app.upload(bytes)
  const { status, json } = await app.ask(`/_matrix/media/unstable/info/${media}`, { token: BOB.token })
  expect(status).toBe(200)
  const { content_uri: _, content_type: __, size: ___, hashes: ____, thumbnails: _____, ...found } = json
  return found
}

const blurhash = { [BLURHASH]: expect.stringMatching(/^.{6,}$/) }
const still = (width: number, height: number) => ({ width, height, animated: false, ...blurhash })
const turning = (width: number, height: number) => ({ width, height, animated: true, ...blurhash })

const sounds = { num_channels: 1, num_total_samples: expect.any(Number), key_samples: expect.any(Array) }

describe('The info of a picture has its own size, not that of what it was made smaller to', () => {
  test.each(['jpeg', 'png', 'webp', 'avif', 'tiff'] as const)('%s', async (type) => {
    const picture = await quarters({ width: 400, height: 300 })
    expect(await info(await picture.toFormat(type).toBuffer())).toEqual(still(400, 300))
  })

  test.each(['gifsicle.gif', 'apngasm.png', 'img2webp.webp'] as const)('%s', async (name) => {
    expect(await info(await readAnimation(name))).toEqual(turning(96, 72))
  })

  test('svg', async () => {
    const drawing =
      '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300"><rect width="9" height="9"/></svg>'
    expect(await info(drawing)).toEqual(still(400, 300))
  })
})

describeWith(['imagemagick', 'heif-enc', 'cjxl'], 'So has that of a picture that sharp does not read', () => {
  test('bmp', async () => {
    expect(await info(await byImageMagick(folder.path, scene, 'bmp'))).toEqual(still(400, 300))
  })

  test('heic', async () => {
    expect(await info(await byHeifEnc(folder.path, scene))).toEqual(still(400, 300))
  })

  test('jxl', async () => {
    expect(await info(await byCjxl(folder.path, scene))).toEqual(still(400, 300))
  })
})

describeWith('ffmpeg', 'The info of a film', () => {
  test('has the size of its frames, and how long it lasts', async () => {
    const found = await info(await readFile(await film(folder.path, 'film.mp4')))
    expect(found).toEqual({ ...turning(160, 120), duration: expect.closeTo(3, 0) })
  })

  test('has its size as it is shown', async () => {
    const lying = await turned(await film(folder.path, 'lying.mp4'), [0, 1, -1, 0])
    expect(await info(lying)).toMatchObject({ width: 120, height: 160 })
  })

  test.each(['sound.wav', 'sound.mp4'])('has no size where there is only sound: %s', async (name) => {
    const found = await info(await readFile(await recording(folder.path, name)))
    expect(found).toEqual({ duration: expect.closeTo(2, 0), ...blurhash, ...sounds })
  })
})

describeWith('ffmpeg', 'The info of a recording', () => {
  type Pairs = readonly (readonly [number, number])[]

  test('says how many channels and samples it has, and has some of them: tone, then silence', async () => {
    const wav = await readFile(await recording(folder.path, 'mono.wav', ['-ar', '44100']))
    const { key_samples: samples, ...found } = await info(wav)
    expect(found).toMatchObject({ num_channels: 1, num_total_samples: 88_200, duration: 2 })
    const pairs = samples as Pairs
    expect(pairs).toHaveLength(768)
    for (const [left, right] of pairs) expect(left).toBe(right)
    expect(Math.max(...pairs.slice(0, 350).map(([left]) => Math.abs(left)))).toBeGreaterThan(0.05)
    expect(Math.max(...pairs.slice(400).map(([left]) => Math.abs(left)))).toBeLessThan(0.01)
  })

  test('tells left from right', async () => {
    const onTheRight = ['-af', 'pan=stereo|c0=0*c0|c1=c0']
    const { key_samples: samples, ...found } = await info(
      await readFile(await recording(folder.path, 'right.wav', onTheRight)),
    )
    expect(found).toMatchObject({ num_channels: 2 })
    const loudest = (side: 0 | 1) => Math.max(...(samples as Pairs).map((pair) => Math.abs(pair[side])))
    expect(loudest(0)).toBeLessThan(0.001)
    expect(loudest(1)).toBeGreaterThan(0.05)
  })

  test('is written down', async () => {
    const media = await app.upload(await readFile(await recording(folder.path, 'kept.wav')))
    const ask = async () => (await app.ask(`/_matrix/media/unstable/info/${media}`, { token: BOB.token })).json
    const first = await ask()
    app.sql(`UPDATE descriptions SET sound = '{"channels":7,"samples":9,"keySamples":[]}' WHERE sound IS NOT NULL`)
    expect(await ask()).toEqual({ ...first, num_channels: 7, num_total_samples: 9, key_samples: [] })
  })
})

describeWith('pdftoppm', 'The info of a PDF file', () => {
  test('has no size, as it has no pixels', async () => {
    expect(await info(pdfOf([{ width: 200, height: 300, colour: '1 0 0' }]))).toEqual(blurhash)
  })
})
