/** Pictures to make thumbnails of, each as many different files as are wanted. */
import { randomBytes } from 'node:crypto'
import sharp from 'sharp'
import type { Sharp } from 'sharp'

export interface Picture {
  readonly type: string
  /** What the titles of rows call it. */
  readonly title: string
  readonly make: () => Promise<Buffer>
  /**
   * Nearly the same picture, which takes as long to decode. Its thumbnails are others: else all would be stored once, and the later
   * ones for nothing.
   */
  readonly copy: (picture: Buffer) => Buffer | Promise<Buffer>
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
  copy: withOtherTables,
}

/** The same kind of scene as a PNG of some 2 MB: noise is what PNG is slowest with. */
export const drawing: Picture = {
  type: 'image/png',
  title: 'a PNG of 1200x800',
  make: async () => await (await scene({ width: 1200, height: 800 }, 9)).png({ adaptiveFiltering: true }).toBuffer(),
  copy: withPatch,
}

/** 60 frames of 400 x 300 pixels in 128 colours, 4 MB: soft shapes that wander, and noise of its own in each frame. */
export const animation: Picture = {
  type: 'image/gif',
  title: 'a GIF of 60 frames',
  make: makeAnimation,
  copy: withOtherColours,
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

/** How many copies of JPEGs there were. */
let copies = 0

/**
 * A baseline JPEG as sharp writes it, brighter and in other colours: one of 600, by what its head says of the same data. For that its third
 * component gets a table of its own. Source: ITU-T T.81, B.2.2 (frame header), B.2.4.1 (quantization tables).
 */
function withOtherTables(picture: Buffer): Buffer {
  const number = copies++
  const luma = 3 + (number % 6)
  const colours = [2 + (Math.floor(number / 6) % 10), 2 + (Math.floor(number / 60) % 10)]
  const pieces = [picture.subarray(0, 2)]
  let at = 2
  for (let length = 0; picture[at + 1] !== 0xda; at += length) {
    length = 2 + picture.readUInt16BE(at + 2)
    const segment = picture.subarray(at, at + length)
    const isTable = segment[1] === 0xdb
    if (isTable && segment[4] === 0) pieces.push(withBytes(segment, { 5: luma }))
    else if (isTable) pieces.push(...colours.map((factor, index) => withBytes(segment, { 4: 1 + index, 5: factor })))
    else pieces.push(segment[1] === 0xc0 ? withBytes(segment, { [length - 1]: 2 }) : segment)
  }
  return Buffer.concat([...pieces, picture.subarray(at)])
}

function withBytes(bytes: Buffer, changes: Readonly<Record<number, number>>): Buffer {
  const changed = Buffer.from(bytes)
  for (const [at, value] of Object.entries(changes)) changed[Number(at)] = value
  return changed
}

/** A PNG with a patch of colour somewhere. */
async function withPatch(picture: Buffer): Promise<Buffer> {
  const [r = 0, g = 0, b = 0, x = 0, y = 0] = randomBytes(5)
  const input = { create: { width: 64, height: 64, channels: 3, background: { r, g, b } } } as const
  return await sharp(picture)
    .composite([{ input, left: 4 * x, top: 2 * y }])
    .png({ adaptiveFiltering: true })
    .toBuffer()
}

/** A GIF with other colours in its first frame. Source: GIF89a, 19 (global colour table). */
function withOtherColours(picture: Buffer): Buffer {
  const copy = Buffer.from(picture)
  const entries = 2 ** (((copy[10] ?? 0) & 7) + 1)
  for (const offset of [0, 1, 2].map((channel) => 13 + 3 * Math.floor(entries / 2) + channel)) {
    copy[offset] = randomBytes(1)[0] ?? 0
  }
  return copy
}
