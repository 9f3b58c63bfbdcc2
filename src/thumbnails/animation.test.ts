import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ANIMATIONS,
  difference,
  drawnFrames,
  framesOf,
  NAMES,
  nearest,
  readAnimation,
  tinyGif,
} from '../../test/support/animations.ts'
import { quarters } from '../../test/support/images.ts'
import { generateThumbnail } from './generators.ts'
import type { Generated, ThumbnailJob } from './job.ts'

const types = ['image/png', 'image/apng', 'image/gif', 'image/webp']
const limits = { maxSourceBytes: 0, maxPixels: 32_000_000 }
/** Pixels of a frame of the animations in test/fixtures. */
const FRAME = 96 * 72
/** How much a still may differ from what was drawn; moving ones are compressed with loss, and GIF has no half transparency. */
const STILL = 0.01
const MOVING = { 'image/webp': 0.03, 'image/gif': 0.045 } as const

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
  const size = { width: 48, height: 36, method: 'scale' } as const
  const job: ThumbnailJob = { source, target, ...size, limits, types, stillFrame: 0.5, ...asked }
  try {
    return { ...(await generateThumbnail(job, 20_000, { programs: {}, memoryLimitBytes: 2 ** 30 })), target }
  } finally {
    // A worker stays with the reader of its last picture; tests look at the result with others.
    sharp.unblock({ operation: ['VipsForeignLoad'] })
  }
}

const moving = { animateAs: 'image/webp' } as const

describe.each(NAMES)('an animation (%s)', (name) => {
  const { type, delays, loop } = ANIMATIONS[name]

  test.each([
    { animateAs: 'image/webp', method: 'scale', width: 48, height: 36 },
    { animateAs: 'image/webp', method: 'crop', width: 32, height: 32 },
    { animateAs: 'image/gif', method: 'scale', width: 48, height: 36 },
  ] as const)('is given as $animateAs ($method) with all its frames, their timing and transparency', async (asked) => {
    const { animateAs, width, height } = asked
    const made = await thumbnail(await readAnimation(name), asked)
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: animateAs, width, height, motion: 'moving' })
    const header = await sharp(made.target, { animated: true }).metadata()
    expect(header).toMatchObject({ pages: 8, width, pageHeight: height, loop, delay: delays })
    const drawn = await drawnFrames(width, height)
    const { pixels } = await framesOf(await readFile(made.target))
    expect(pixels.map((frame) => nearest(frame, drawn))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    for (const [index, frame] of pixels.entries()) {
      expect(difference(frame, drawn[index] ?? frame)).toBeLessThan(MOVING[animateAs])
    }
  })

  test.each(['image/webp', 'image/avif'] as const)('that stands still can be %s', async (stillAs) => {
    const made = await thumbnail(await readAnimation(name), { stillAs })
    expect(made).toMatchObject({ kind: 'thumbnail', contentType: stillAs, width: 48, height: 36, motion: 'can' })
    const { format, pages = 1 } = await sharp(made.target).metadata()
    expect([format, pages]).toEqual([stillAs === 'image/avif' ? 'heif' : 'webp', 1])
  })

  test.each([{}, moving])('comes with its own size, not that of the thumbnail (%o)', async (asked) => {
    expect(await thumbnail(await readAnimation(name), asked)).toMatchObject({ source: { width: 96, height: 72 } })
  })

  test.each([
    [0, 0],
    [0.5, 4],
    [0.99, 7],
    [1, 7],
  ])('that is not to move is, with stillFrame: %d, its frame %d', async (stillFrame, expected) => {
    const made = await thumbnail(await readAnimation(name), { stillFrame })
    expect(made).toMatchObject({ contentType: 'image/png', width: 48, height: 36, motion: 'can' })
    const drawn = await drawnFrames(48, 36)
    const [frame = Buffer.alloc(0)] = (await framesOf(made.target)).pixels
    expect(nearest(frame, drawn)).toBe(expected)
    expect(difference(frame, drawn[expected] ?? frame)).toBeLessThan(STILL)
  })

  test('moves only while all its frames together have fewer pixels than the limit', async () => {
    const bytes = await readAnimation(name)
    const under = (maxPixels: number) => thumbnail(bytes, { ...moving, limits: { ...limits, maxPixels } })
    expect(await under(8 * FRAME + 1)).toMatchObject({ contentType: 'image/webp', motion: 'moving' })
    expect(await under(8 * FRAME)).toMatchObject({ contentType: 'image/png', motion: 'cannot' })
  })

  test('that is too large to be decoded up to its stillFrame stands still earlier', async () => {
    const made = await thumbnail(await readAnimation(name), {
      stillFrame: 1,
      limits: { ...limits, maxPixels: 3 * FRAME + 1 },
    })
    const [frame = Buffer.alloc(0)] = (await framesOf(made.target)).pixels
    expect(nearest(frame, await drawnFrames(48, 36))).toBe(2)
  })

  test('no larger than asked is itself the answer where every client shows it, else it is made anew in its own size', async () => {
    const bytes = await readAnimation(name)
    const large = { width: 96, height: 80 }
    for (const animateAs of ['image/webp', 'image/gif'] as const) {
      const made = await thumbnail(bytes, { ...large, animateAs })
      const itself = type === 'image/gif' || type === animateAs
      expect(made).toMatchObject({ kind: itself ? 'original' : 'thumbnail', width: 96, height: 72, motion: 'moving' })
      expect(made.contentType).toBe(itself ? type : animateAs)
    }
    expect(await thumbnail(bytes, large)).toMatchObject({
      contentType: 'image/png',
      width: 96,
      height: 72,
      motion: 'can',
    })
  })
})

describe('an animation of which the last frame is damaged', () => {
  test.each(['gifsicle.gif', 'ffmpeg.png', 'img2webp.webp'] as const)('(%s) stands still', async (name) => {
    const bytes = await withBadEnd(name)
    const made = await thumbnail(bytes, moving)
    expect(made).toMatchObject({ contentType: 'image/png', motion: 'cannot' })
    const [frame = Buffer.alloc(0)] = (await framesOf(made.target)).pixels
    expect(nearest(frame, await drawnFrames(48, 36))).toBe(4)
    await expect(thumbnail(bytes, { stillFrame: 1 })).rejects.toMatchObject({ reason: 'not_thumbnailable' })
  })
})

describe('a source with one picture', () => {
  test.each(['gif', 'webp', 'png'] as const)('says nothing of motion, whatever was asked: %s', async (format) => {
    const bytes = await (await quarters({ width: 96, height: 72 })).toFormat(format).toBuffer()
    const [asked, notAsked] = [await thumbnail(bytes, moving), await thumbnail(bytes)]
    for (const made of [asked, notAsked]) expect(made.motion).toBeUndefined()
    expect((await readFile(asked.target)).equals(await readFile(notAsked.target))).toBe(true)
  })
})

describe('what would cost too much', () => {
  test.each([
    ['400,000 frames', 400_000, 1],
    ['1001 frames', 1001, 1],
    ['frames that last eleven minutes each', 2, 65_535],
    ['frames that last ten minutes together', 1000, 61],
  ])('(%s) is not made to move', async (_, frames, delay) => {
    expect(await thumbnail(tinyGif(frames, delay), moving)).toMatchObject({
      contentType: 'image/png',
      motion: 'cannot',
    })
  })

  test('and what is just under that is', async () => {
    const made = await thumbnail(tinyGif(1000, 60), moving)
    expect(made).toMatchObject({ contentType: 'image/webp', motion: 'moving' })
  })

  test('(one frame with too many pixels) is refused', async () => {
    const bomb = tinyGif(2, 1)
    // The canvas, and the first frame on it, are 60,000 × 60,000 pixels.
    for (const at of [6, 8, 32, 34]) bomb.writeUInt16LE(60_000, at)
    await expect(thumbnail(bomb, moving)).rejects.toMatchObject({ reason: 'too_large' })
  })

  test('(an animation that its EXIF says is to be turned) stands still, upright', async () => {
    const turned = await sharp(await readAnimation('img2webp.webp'), { animated: true })
      .withMetadata({ orientation: 6 })
      .webp()
      .toBuffer()
    const made = await thumbnail(turned, moving)
    expect(made).toMatchObject({ contentType: 'image/png', width: 27, height: 36 })
    expect(made.motion).toBeUndefined()
  })
})

/** With the data of the last frame overwritten, and nothing else. */
async function withBadEnd(name: keyof typeof ANIMATIONS): Promise<Buffer> {
  const bytes = await readAnimation(name)
  if (ANIMATIONS[name].type !== 'image/apng') return bytes.fill(0xff, bytes.length - 60, bytes.length - 8)
  const last = bytes.lastIndexOf('fdAT')
  const data = bytes.subarray(last + 8, last + bytes.readUInt32BE(last - 4) + 4).fill(0xff)
  bytes.writeUInt32BE(crc32(bytes.subarray(last, last + 8 + data.length)), last + 8 + data.length)
  return bytes
}
