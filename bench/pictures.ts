/** Pictures to make thumbnails of, each as many different files as are wanted. */
import { randomBytes } from 'node:crypto'
import sharp from 'sharp'
import type { Sharp } from 'sharp'

export interface Picture {
  readonly type: string
  /** What the titles of rows call it. */
  readonly title: string
  readonly make: () => Promise<Buffer>
  /** The same picture in other bytes. */
  readonly copy: (picture: Buffer) => Buffer
}

interface Size {
  readonly width: number
  readonly height: number
}

/** 4000 x 3000 pixels and some 2.5 MB, as a telephone takes them: soft shapes and a sensor's noise. */
export const photo: Picture = {
  type: 'image/jpeg',
  title: 'a 12-megapixel JPEG',
  make: async () => await (await scene({ width: 4000, height: 3000 }, 21)).jpeg({ quality: 85 }).toBuffer(),
  copy: withComment,
}

/** The same kind of scene as a PNG of some 2 MB: noise is what PNG is slowest with. */
export const drawing: Picture = {
  type: 'image/png',
  title: 'a PNG of 1200x800',
  make: async () => await (await scene({ width: 1200, height: 800 }, 9)).png({ adaptiveFiltering: true }).toBuffer(),
  copy: withTail,
}

/** 60 frames of 400 x 300 pixels in 128 colours, 4 MB: soft shapes that wander, and noise of its own in each frame. */
export const animation: Picture = {
  type: 'image/gif',
  title: 'a GIF of 60 frames',
  make: makeAnimation,
  copy: withTail,
}

async function scene(size: Size, sigma: number): Promise<Sharp> {
  const shapes = await noise({ width: size.width / 100, height: size.height / 100 }, 60)
    .png()
    .toBuffer()
  const grain = await noise(size, sigma).png({ compressionLevel: 0 }).toBuffer()
  const soft = await sharp(shapes)
    .resize({ ...size, kernel: 'cubic' })
    .png({ compressionLevel: 0 })
    .toBuffer()
  return sharp(soft).composite([{ input: grain, blend: 'soft-light' }])
}

async function makeAnimation(): Promise<Buffer> {
  const size = { width: 400, height: 300 }
  const shapes = await noise({ width: 16, height: 9 }, 60).png().toBuffer()
  const whole = await sharp(shapes).resize({ width: 640, height: 360, kernel: 'cubic' }).png().toBuffer()
  const frames = Array.from({ length: 60 }, async (_, frame) => {
    const grain = await noise(size, 9).png().toBuffer()
    const cut = await sharp(whole)
      .extract({ left: frame * 4, top: frame, ...size })
      .png()
      .toBuffer()
    return await sharp(cut)
      .composite([{ input: grain, blend: 'soft-light' }])
      .png()
      .toBuffer()
  })
  const moving = sharp(await Promise.all(frames), { join: { animated: true } })
  return await moving.gif({ colours: 128, effort: 1, delay: Array<number>(60).fill(50) }).toBuffer()
}

function noise(size: Size, sigma: number): Sharp {
  const gaussian = { type: 'gaussian', mean: 128, sigma } as const
  return sharp({ create: { ...size, channels: 3, background: 'grey', noise: gaussian } })
}

/** A JPEG with another comment. */
function withComment(picture: Buffer): Buffer {
  const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, 18]), randomBytes(16)])
  return Buffer.concat([picture.subarray(0, 2), comment, picture.subarray(2)])
}

/** A PNG or GIF with other bytes after its end, which nobody reads. */
function withTail(picture: Buffer): Buffer {
  return Buffer.concat([picture, randomBytes(16)])
}
