import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generateThumbnail } from '../../src/thumbnails/generators.ts'
import type { ThumbnailJob } from '../../src/thumbnails/job.ts'
import { findPrograms, type ProgramName, type Programs } from '../../src/thumbnails/programs.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { adobeProfile, adobeToSrgb } from '../support/icc.ts'
import { byCjxl, byHeifEnc, byImageMagick } from '../support/picture-makers.ts'
import { asGrey, distanceFrom, makeScene } from '../support/scene.ts'
import { describeWith } from '../support/services.ts'

const scene = makeScene(400, 300)
const types = ['jpeg', 'png', 'gif', 'webp', 'avif', 'tiff', 'bmp', 'heic', 'heif', 'jxl'].map(
  (type) => `image/${type}`,
)
const limits = { maxSourceBytes: 10_000_000, maxPixels: 32_000_000 }

let folder: Folder
let programs: Programs
let count = 0
beforeAll(async () => {
  folder = await temporaryFolder()
  programs = await findPrograms(process.env['PATH'] ?? '', new AbortController().signal)
})
afterAll(() => folder[Symbol.asyncDispose]())

async function thumbnail(bytes: Buffer, asked: Partial<ThumbnailJob> = {}, missing?: ProgramName) {
  const [source, target] = [join(folder.path, `source-${++count}`), join(folder.path, `target-${count}`)]
  await writeFile(source, bytes)
  const job = {
    source,
    target,
    width: 160,
    height: 120,
    method: 'scale',
    limits,
    types,
    stillFrame: 0,
    ...asked,
  } as const
  try {
    const made = await generateThumbnail(job, 20_000, {
      programs: Object.fromEntries(Object.entries(programs).filter(([name]) => name !== missing)),
      memoryLimitBytes: 2 ** 30,
    })
    return { ...made, target }
  } finally {
    await rm(source)
    sharp.unblock({ operation: ['VipsForeignLoad'] })
  }
}

const image = (as: string, ...options: string[]) => byImageMagick(folder.path, scene, as, options)
const ALPHA = ['-alpha', 'set', '-channel', 'A', '-evaluate', 'set', '100%', '+channel', '-define', 'png:color-type=6']

describeWith('imagemagick', 'Pictures that ImageMagick made give thumbnails that show the same', () => {
  // type, what of it, how ImageMagick is told, type of the thumbnail, how far its colours may be off at most
  test.each<[string, string, readonly string[], string, number]>([
    ['jpeg', 'baseline', ['-quality', '90'], 'jpeg', 8],
    ['jpeg', 'progressive', ['-interlace', 'JPEG', '-quality', '90'], 'jpeg', 8],
    ['jpeg', 'coarse in colour', ['-sampling-factor', '4:2:0', '-quality', '60'], 'jpeg', 12],
    ['png', 'interlaced', ['-interlace', 'PNG'], 'png', 4],
    ['png8', 'of a palette', ['-colors', '200'], 'png', 12],
    ['png48', 'of 16 bits', [], 'png', 4],
    ['png32', 'with transparency', ALPHA, 'png', 4],
    ['gif', 'plain', [], 'png', 16],
    ['gif', 'interlaced', ['-interlace', 'GIF'], 'png', 16],
    ['webp', 'lossy', ['-quality', '85'], 'jpeg', 10],
    ['webp', 'lossless', ['-define', 'webp:lossless=true'], 'jpeg', 8],
    ['avif', 'lossy', ['-quality', '80'], 'jpeg', 10],
    ['tiff', 'plain', ['-compress', 'none'], 'jpeg', 8],
    ['tiff', 'LZW', ['-compress', 'LZW'], 'jpeg', 8],
    ['tiff', 'deflate', ['-compress', 'Zip'], 'jpeg', 8],
    ['tiff', 'JPEG', ['-compress', 'JPEG', '-quality', '90'], 'jpeg', 10],
    ['tiff', 'of 16 bits, big-endian', ['-depth', '16', '-endian', 'MSB'], 'jpeg', 8],
    ['tiff', 'in tiles', ['-define', 'tiff:tile-geometry=64x64'], 'jpeg', 8],
    ['ptif', 'of several sizes', [], 'jpeg', 8],
    ['bmp', 'with a new header', [], 'png', 4],
    ['bmp3', 'with the usual header', [], 'png', 4],
    ['bmp2', "with OS/2's header", [], 'png', 4],
    ['bmp3', 'of 256 colours', ['-type', 'Palette', '-colors', '256', '-compress', 'None'], 'png', 12],
    ['bmp3', 'of 256 colours in runs', ['-type', 'Palette', '-colors', '256', '-compress', 'RLE'], 'png', 12],
    ['bmp2', "of 256 colours with OS/2's header", ['-type', 'Palette', '-colors', '256'], 'png', 12],
    ['bmp', 'of 15 bits', ['-define', 'bmp:subtype=RGB555'], 'png', 8],
    ['bmp', 'of 16 bits', ['-define', 'bmp:subtype=RGB565'], 'png', 8],
    ['bmp', 'with transparency', ALPHA, 'png', 4],
  ])('%s, %s', async (as, _, options, type, worst) => {
    const made = await thumbnail(await image(as, ...options))
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: `image/${type}`, width: 160, height: 120 })
    expect((await distanceFrom(scene, made.target)).worst).toBeLessThan(worst)
    expect(await sharp(made.target).metadata()).toMatchObject({ depth: 'uchar', space: 'srgb' })
  })

  test.each(['jpeg', 'png', 'tiff', 'webp'])('%s in shades of grey', async (as) => {
    const made = await thumbnail(await image(as, '-colorspace', 'Gray'))
    expect((await distanceFrom(asGrey(scene), made.target)).worst).toBeLessThan(10)
  })

  // Ink has no pure colours, and ImageMagick computes them without a profile: the same hues, not the same values.
  test.each(['jpeg', 'tiff'])('%s in the colours of print (CMYK)', async (as) => {
    const made = await thumbnail(await image(as, '-colorspace', 'CMYK', '-quality', '95'))
    expect(await sharp(made.target).metadata()).toMatchObject({ space: 'srgb', channels: 3 })
    expect((await distanceFrom(scene, made.target)).mean).toBeLessThan(35)
  })

  test.each(['tiff', 'bmp3', 'png'])('%s in black and white', async (as) => {
    const made = await thumbnail(
      await image(as, '-threshold', '50%', '-monochrome', '-compress', as === 'tiff' ? 'Group4' : 'None'),
    )
    const { data } = await sharp(made.target)
      .extract({ left: 120, top: 50, width: 1, height: 1 })
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
    expect(made).toMatchObject({ kind: 'thumbnail', width: 160 })
    expect([...data].every((value) => value < 40 || value > 215)).toBe(true)
  })

  test('tiff of several pages: the first', async () => {
    const bytes = await byImageMagick(folder.path, scene, 'tiff', ['(', '-size', '50x50', 'xc:red', ')'])
    expect((await sharp(bytes).metadata()).pages).toBe(2)
    expect((await distanceFrom(scene, (await thumbnail(bytes)).target)).worst).toBeLessThan(8)
  })

  test.each(['bmp3', 'tiff', 'avif'])('%s that is small already, in a type that every client shows', async (as) => {
    const made = await thumbnail(await image(as, '-resize', '64x48'))
    expect(made).toMatchObject({ kind: 'thumbnail', width: 64, height: 48 })
    expect(made.contentType).toMatch(/^image\/(png|jpeg)$/)
    expect((await distanceFrom(scene, made.target)).mean).toBeLessThan(6)
  })

  test.each(['jpeg', 'png', 'webp', 'tiff'])(
    '%s with a profile of its own, in the colours of every screen',
    async (as) => {
      const profile = join(folder.path, 'adobe.icc')
      await writeFile(profile, adobeProfile())
      for (const colour of [
        [200, 110, 90],
        [90, 170, 120],
        [40, 160, 60],
      ] as const) {
        const flat = `xc:rgb(${colour.join(',')})`
        const bytes = await byImageMagick(folder.path, flat, as, [
          '-resize',
          '200x200!',
          '-profile',
          profile,
          '-quality',
          '95',
        ])
        expect((await sharp(bytes).metadata()).icc?.length).toBe(adobeProfile().length)
        const made = await thumbnail(bytes)
        expect((await sharp(made.target).metadata()).icc).toBeUndefined()
        const { data } = await sharp(made.target).removeAlpha().raw().toBuffer({ resolveWithObject: true })
        const apart = adobeToSrgb(colour).map((value, index) => Math.abs(value - (data[index] ?? 0)))
        expect(Math.max(...apart)).toBeLessThan(6)
        // Without the profile it would have been further off than that.
        expect(
          Math.max(...adobeToSrgb(colour).map((value, index) => Math.abs(value - (colour[index] ?? 0)))),
        ).toBeGreaterThan(12)
      }
    },
  )
})

describeWith(['imagemagick', 'heif-enc'], 'Pictures in the containers of libheif', () => {
  const ICC_FREE = ['-q', '80']

  test('give thumbnails when they are AVIF', async () => {
    const made = await thumbnail(await byHeifEnc(folder.path, scene, ['-A', ...ICC_FREE]))
    expect(made).toMatchObject({ contentType: 'image/jpeg', width: 160, height: 120 })
    expect((await distanceFrom(scene, made.target)).worst).toBeLessThan(10)
  })

  test('give thumbnails when they are HEIC, by the program heif-dec', async () => {
    const made = await thumbnail(await byHeifEnc(folder.path, scene, ICC_FREE))
    expect(made).toMatchObject({ contentType: 'image/jpeg', width: 160, height: 120 })
    expect((await distanceFrom(scene, made.target)).worst).toBeLessThan(12)
  })

  test('keep their transparency, and become PNG', async () => {
    const bytes = await byHeifEnc(folder.path, scene, ICC_FREE, [
      '-alpha',
      'set',
      '-region',
      '100x100',
      '-alpha',
      'transparent',
    ])
    const made = await thumbnail(bytes)
    expect(made).toMatchObject({ contentType: 'image/png', width: 160, height: 120 })
    const { data } = await sharp(made.target).raw().toBuffer({ resolveWithObject: true })
    expect([data[3], data.at(-1)]).toEqual([0, 255])
  })

  test('are refused for their pixels before they are decoded', async () => {
    const bytes = await byHeifEnc(folder.path, scene, ICC_FREE)
    const few = { ...limits, maxPixels: 120_000 }
    // Without the program: it cannot have been asked.
    await expect(thumbnail(bytes, { limits: few }, 'heif-dec')).rejects.toThrow('400 × 300 pixels')
    await expect(thumbnail(bytes, {}, 'heif-dec')).rejects.toThrow('heif-dec is not installed')
  })

  test('that hold several pictures show the one that is meant to be shown', async () => {
    const other = makeScene(400, 300)
    other.pixels.fill(10)
    const both = await byHeifEnc(folder.path, [other, scene], ICC_FREE)
    const { pages, pagePrimary } = await sharp(both).metadata()
    expect(pages).toBe(2)
    const made = await thumbnail(both)
    expect((await distanceFrom(pagePrimary === 1 ? scene : other, made.target)).worst).toBeLessThan(12)
    const few = { ...limits, maxPixels: 240_000 }
    await expect(thumbnail(both, { limits: few })).rejects.toEqual(expect.objectContaining({ reason: 'too_large' }))
  })
})

describeWith(['imagemagick', 'cjxl'], 'Pictures that libjxl made give thumbnails, by the program djxl', () => {
  test.each<[string, readonly string[], readonly [string, ...string[]], string]>([
    ['lossy', ['-d', '1'], ['png'], 'jpeg'],
    ['lossless', ['-d', '0'], ['png'], 'jpeg'],
    ['lossless, of 16 bits', ['-d', '0'], ['png48'], 'jpeg'],
    ['in a container', ['--container=1'], ['png'], 'jpeg'],
    ['a JPEG made smaller', ['--lossless_jpeg=1'], ['jpg', '-quality', '90'], 'jpeg'],
    ['with transparency', ['-d', '1'], ['png32', '-alpha', 'set', '-define', 'png:color-type=6'], 'png'],
    ['in shades of grey', ['-d', '1'], ['png', '-colorspace', 'Gray'], 'jpeg'],
  ])('%s', async (_, options, from, type) => {
    const made = await thumbnail(await byCjxl(folder.path, scene, options, from))
    expect(made).toMatchObject({ contentType: `image/${type}`, width: 160, height: 120 })
    const shown = from.includes('Gray') ? asGrey(scene) : scene
    expect((await distanceFrom(shown, made.target)).worst).toBeLessThan(12)
  })

  test('but not when they have too many pixels, and without the program they are not decoded', async () => {
    const few = { ...limits, maxPixels: 120_000 }
    for (const container of ['0', '1']) {
      const bytes = await byCjxl(folder.path, scene, [`--container=${container}`])
      // Without the program: it cannot have been asked.
      await expect(thumbnail(bytes, { limits: few }, 'djxl')).rejects.toThrow('400 × 300 pixels')
      await expect(thumbnail(bytes, {}, 'djxl')).rejects.toThrow('djxl is not installed')
    }
  })
})
