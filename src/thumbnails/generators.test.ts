import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asAnimatedPng, noise, pngBomb, quarters } from '../../test/support/images.ts'
import { THUMBNAIL_TYPES } from '../config/sections/thumbnails.ts'
import { generateThumbnail, typeNames } from './generators.ts'
import type { Generated, ThumbnailJob } from './job.ts'

const types = ['image/jpeg', 'image/png', 'image/gif', 'image/webp']
const limits = { maxSourceBytes: 10_000_000, maxPixels: 32_000_000 }

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellarium-test-'))
})
afterAll(() => rm(folder, { recursive: true }))

let count = 0
async function thumbnail(bytes: Buffer, asked: Partial<ThumbnailJob> = {}): Promise<Generated & { target: string }> {
  const source = join(folder, `source-${++count}`)
  const target = join(folder, `target-${count}`)
  await writeFile(source, bytes)
  const job = {
    source,
    target,
    width: 32,
    height: 32,
    method: 'scale',
    limits,
    types,
    stillFrame: 0,
    ...asked,
  } as const
  try {
    return { ...(await generateThumbnail(job, 10_000, { programs: {}, memoryLimitBytes: 2 ** 30 })), target }
  } finally {
    // A worker stays with the reader of its last picture; tests look at the result with others.
    sharp.unblock({ operation: ['VipsForeignLoad'] })
  }
}

/** The colours of the four corners, from the upper left, each as `#rgb`. */
async function corners(path: string): Promise<readonly string[]> {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const last = { x: info.width - 1, y: info.height - 1 }
  return [
    [0, 0],
    [last.x, 0],
    [0, last.y],
    [last.x, last.y],
  ].map(([x = 0, y = 0]) => {
    const at = (y * info.width + x) * info.channels
    return `#${[...data.subarray(at, at + 3)].map((part) => Math.round(part / 17).toString(16)).join('')}`
  })
}

const refusal = (reason: string, message: RegExp) =>
  expect.objectContaining({ reason, message: expect.stringMatching(message) })

describe('a thumbnail', () => {
  test.each([
    ['jpeg', false, 'image/jpeg'],
    ['png', false, 'image/png'],
    ['gif', false, 'image/png'],
    ['webp', false, 'image/jpeg'],
    ['webp', true, 'image/png'],
  ] as const)('of %s (transparent: %s) is %s', async (format, alpha, contentType) => {
    const bytes = await (await quarters({ width: 200, height: 100, alpha })).toFormat(format).toBuffer()
    const made = await thumbnail(bytes)
    const written = await sharp(made.target).metadata()
    expect(made).toMatchObject({ kind: 'thumbnail', contentType, width: 32, height: 16 })
    expect(written).toMatchObject({ mediaType: contentType, width: 32, height: 16 })
    expect((await stat(made.target)).size).toBe(made.kind === 'thumbnail' && made.bytes)
  })

  test('keeps transparency', async () => {
    const made = await thumbnail(await (await quarters({ width: 200, height: 200, alpha: true })).png().toBuffer())
    const { data } = await sharp(made.target).raw().toBuffer({ resolveWithObject: true })
    expect([data[3], data.at(-1)]).toEqual([255, 0])
  })

  test.each([
    [{ width: 279, height: 129 }, { width: 32, height: 32, method: 'scale' }, [32, 15]],
    [{ width: 100, height: 400 }, { width: 320, height: 240, method: 'scale' }, [60, 240]],
    [{ width: 400, height: 100 }, { width: 96, height: 96, method: 'crop' }, [96, 96]],
    [{ width: 400, height: 400 }, { width: 320, height: 160, method: 'crop' }, [320, 160]],
    [{ width: 1000, height: 2 }, { width: 32, height: 32, method: 'scale' }, [32, 1]],
  ] as const)('of %o asked for as %o has %o pixels', async (source, asked, size) => {
    const made = await thumbnail(await (await quarters(source)).png().toBuffer(), asked)
    expect([made.width, made.height]).toEqual(size)
  })

  test.each([
    [{ width: 400, height: 50 }, { width: 96, height: 96 }, [50, 50]],
    [{ width: 50, height: 400 }, { width: 320, height: 240 }, [50, 38]],
    [{ width: 97, height: 95 }, { width: 96, height: 96 }, [95, 95]],
  ] as const)('cropped from a source of %o to %o is cut, not enlarged', async (source, asked, size) => {
    const made = await thumbnail(await (await quarters(source)).png().toBuffer(), { ...asked, method: 'crop' })
    expect([made.width, made.height]).toEqual(size)
    expect(await corners(made.target)).toEqual(['#f00', '#0f0', '#00f', '#ff0'])
  })

  test('shows the middle when it is cropped', async () => {
    const middle = { width: 140, height: 100, channels: 3, background: 'black' } as const
    const wide = await sharp({ create: middle }).extend({ left: 80, right: 80, background: 'white' }).png().toBuffer()
    const made = await thumbnail(wide, { method: 'crop' })
    expect(await corners(made.target)).toEqual(['#000', '#000', '#000', '#000'])
  })

  // What each EXIF orientation stores as upper left, upper right, lower left, lower right of the upright picture.
  test.each([
    [1, ['#f00', '#0f0', '#00f', '#ff0']],
    [2, ['#0f0', '#f00', '#ff0', '#00f']],
    [3, ['#ff0', '#00f', '#0f0', '#f00']],
    [4, ['#00f', '#ff0', '#f00', '#0f0']],
    [5, ['#f00', '#00f', '#0f0', '#ff0']],
    [6, ['#00f', '#f00', '#ff0', '#0f0']],
    [7, ['#ff0', '#0f0', '#00f', '#f00']],
    [8, ['#0f0', '#ff0', '#f00', '#00f']],
  ] as const)(
    'stands upright (EXIF orientation %i) in a size chosen for the upright picture',
    async (orientation, expected) => {
      const picture = await quarters({ width: 400, height: 200 })
      const bytes = await picture
        .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
        .withMetadata({ orientation })
        .toBuffer()
      const scaled = await thumbnail(bytes, { width: 100, height: 100 })
      const cropped = await thumbnail(bytes, { width: 96, height: 48, method: 'crop' })
      expect([scaled.width, scaled.height]).toEqual(orientation < 5 ? [100, 50] : [50, 100])
      expect([cropped.width, cropped.height]).toEqual([96, 48])
      expect(await corners(scaled.target)).toEqual(expected)
    },
  )

  test('of a CMYK JPEG has the colours of the screen', async () => {
    const cmyk = await (await quarters({ width: 200, height: 200 })).toColourspace('cmyk').jpeg().toBuffer()
    expect((await sharp(cmyk).metadata()).space).toBe('cmyk')
    const made = await thumbnail(cmyk)
    expect(await sharp(made.target).metadata()).toMatchObject({ space: 'srgb', channels: 3 })
  })

  test.each(['jpeg', 'png'] as const)('carries no metadata over: %s', async (format) => {
    const picture = await quarters({ width: 200, height: 200 })
    const bytes = await picture
      .toFormat(format)
      .withExif({ IFD0: { Copyright: 'the place where it was taken' } })
      .toBuffer()
    expect(bytes.includes('where it was taken')).toBe(true)
    const made = await thumbnail(bytes)
    expect((await sharp(made.target).metadata()).exif).toBeUndefined()
    expect((await readFile(made.target)).includes('where it was taken')).toBe(false)
  })

  test('of an animated GIF is its first picture', async () => {
    const frames = [await quarters({ width: 64, height: 64 }), noise({ width: 64, height: 64 })]
    const pages = await Promise.all(frames.map((frame) => frame.png().toBuffer()))
    const animation = await sharp(pages, { join: { animated: true } })
      .gif()
      .toBuffer()
    expect((await sharp(animation).metadata()).pages).toBe(2)
    const made = await thumbnail(animation)
    expect(made).toMatchObject({ contentType: 'image/png', width: 32, height: 32 })
    expect(await corners(made.target)).toEqual(['#f00', '#0f0', '#00f', '#ff0'])
  })
})

describe('a source no larger than asked', () => {
  test.each(['jpeg', 'png'] as const)('is the answer itself: %s', async (format) => {
    const bytes = await (await quarters({ width: 20, height: 32 })).toFormat(format).toBuffer()
    const made = await thumbnail(bytes, { method: 'crop' })
    expect(made).toMatchObject({ kind: 'original', contentType: `image/${format}`, width: 20, height: 32 })
    await expect(stat(made.target)).rejects.toThrow('ENOENT')
  })

  test.each(['gif', 'webp'] as const)('is made a PNG or JPEG of its own size: %s', async (format) => {
    const made = await thumbnail(await (await quarters({ width: 20, height: 30 })).toFormat(format).toBuffer())
    expect(made).toMatchObject({ kind: 'thumbnail', width: 20, height: 30 })
    expect((await sharp(made.target).metadata()).format).toBe(format === 'gif' ? 'png' : 'jpeg')
  })

  test('is made still when it is an animated PNG', async () => {
    const bytes = asAnimatedPng(await (await quarters({ width: 20, height: 20 })).png().toBuffer())
    expect(await thumbnail(bytes)).toMatchObject({ kind: 'thumbnail', contentType: 'image/png', width: 20, height: 20 })
  })

  test('is turned upright when its EXIF orientation says so', async () => {
    const bytes = await (await quarters({ width: 20, height: 30 })).jpeg().withMetadata({ orientation: 6 }).toBuffer()
    expect(await thumbnail(bytes)).toMatchObject({ kind: 'thumbnail', width: 30, height: 20 })
  })

  test('is turned into the colours of the screen when it is a CMYK JPEG', async () => {
    const bytes = await (await quarters({ width: 20, height: 30 })).toColourspace('cmyk').jpeg().toBuffer()
    expect(await thumbnail(bytes)).toMatchObject({ kind: 'thumbnail', width: 20, height: 30 })
  })
})

describe('no thumbnail is made', () => {
  test('of types that the configuration does not list, and the message says which', async () => {
    const bytes = await (await quarters({ width: 64, height: 64 })).webp().toBuffer()
    await expect(thumbnail(bytes, { types: ['image/jpeg'] })).rejects.toEqual(
      refusal('not_thumbnailable', /image\/webp/),
    )
  })

  test('of types without a generator, even when the configuration lists them', async () => {
    const pdf = Buffer.from('%PDF-1.7\n')
    await expect(thumbnail(pdf, { types: ['application/x-unknown'] })).rejects.toEqual(
      refusal('not_thumbnailable', /application\/pdf/),
    )
  })

  test.each(['', 'hello', '<?xml version="1.0"?><rss/>', '<html><svg width="9" height="9"/></html>'])(
    'of what is no picture: %j',
    async (text) => {
      const all = [...types, 'image/svg+xml', 'application/xml']
      await expect(thumbnail(Buffer.from(text), { types: all })).rejects.toEqual(refusal('not_thumbnailable', /./))
    },
  )

  test('of files with more bytes than allowed', async () => {
    const bytes = await noise({ width: 100, height: 100 }).png().toBuffer()
    const few = { ...limits, maxSourceBytes: bytes.length - 1 }
    await expect(thumbnail(bytes, { limits: few })).rejects.toEqual(
      refusal('too_large', new RegExp(`${bytes.length} bytes`)),
    )
    const enough = { ...limits, maxSourceBytes: bytes.length }
    expect(await thumbnail(bytes, { limits: enough })).toMatchObject({ kind: 'thumbnail' })
    const any = { ...limits, maxSourceBytes: 0 }
    expect(await thumbnail(bytes, { limits: any })).toMatchObject({ kind: 'thumbnail' })
  })

  test('of pictures with as many pixels as the limit, whose data is not even read', async () => {
    const bomb = pngBomb(30_000, 30_000)
    expect(bomb.length).toBeLessThan(10_000)
    await expect(thumbnail(bomb)).rejects.toEqual(refusal('too_large', /30000 × 30000/))
    const small = await (await quarters({ width: 100, height: 100 })).png().toBuffer()
    await expect(thumbnail(small, { limits: { ...limits, maxPixels: 10_000 } })).rejects.toEqual(
      refusal('too_large', /./),
    )
    expect(await thumbnail(small, { limits: { ...limits, maxPixels: 10_001 } })).toMatchObject({ kind: 'thumbnail' })
  })

  test.each(['jpeg', 'png', 'webp'] as const)('of half a file: %s', async (format) => {
    const bytes = await noise({ width: 300, height: 300 }).toFormat(format).toBuffer()
    await expect(thumbnail(bytes.subarray(0, bytes.length / 2))).rejects.toEqual(
      refusal('not_thumbnailable', /damaged/),
    )
  })

  test('of a damaged file, and the answer names no path of the server', async () => {
    const bytes = await noise({ width: 300, height: 300 }).png().toBuffer()
    bytes.fill(0xff, 200, 2000)
    const failure: unknown = await thumbnail(bytes).catch((error: unknown) => error)
    expect(failure).toEqual(refusal('not_thumbnailable', /image\/png/))
    expect(String(failure)).not.toContain(folder)
  })
})

test('Every name that enables a generator is one that the configuration takes, and the other way round', () => {
  expect([...typeNames()].toSorted()).toEqual([...THUMBNAIL_TYPES].toSorted())
})
