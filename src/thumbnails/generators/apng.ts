import { readFile, stat } from 'node:fs/promises'
import sharp from 'sharp'
import type { Sharp } from 'sharp'
import { encodeMoving, motionOf, movingOr, movingType } from '../animation.ts'
import { composeFrames } from '../apng/compose.ts'
import { type AnimatedPng, readAnimatedPng } from '../apng/read.ts'
import { chooseFrame } from '../frames.ts'
import type { AnimationType, Generated, Generator, ThumbnailJob } from '../job.ts'
import {
  checkPixels,
  decoding,
  encode,
  makeStill,
  type Picture,
  prepareLibvips,
  readHeader,
  readOnlyWith,
  resize,
  write,
} from '../picture.ts'
import type { Size } from '../sizes.ts'

/** Larger files are not held in memory to find their frames: they give the picture that programs show which know no animation. */
const MOST_BYTES = 64 * 1024 ** 2

/**
 * Animated PNG. libvips reads none of its frames but the first, so they are taken out of the file, decoded as the PNGs that
 * they are and put on their canvas here (docs/decisions/029).
 */
export const apng: Generator = {
  // Senders call these image/png; the bytes tell that they are animated.
  types: new Map([['image/apng', ['image/apng', 'image/png']]]),
  prepare: prepareLibvips,
  generate,
}

async function generate(job: ThumbnailJob, contentType: string): Promise<Generated> {
  const picture: Picture = { contentType, input: job.source, loader: 'VipsForeignLoadPngFile', opaque: 'png' }
  checkPixels(await readHeader(picture), job)
  const { size } = await stat(job.source)
  const png = size > MOST_BYTES ? undefined : readAnimatedPng(await readFile(job.source))
  if (!png) return await makeStill(job, picture)
  readOnlyWith('VipsForeignLoadPngBuffer')
  const { width, height } = png.animation
  const source = { width, height }
  const still = async () => {
    const frame = await decoding(contentType, frameOf(png, job))
    const image = encode(resize(frame, png.animation, job), picture, { hasAlpha: true }, job)
    return { ...(await write(job, contentType, image)), source }
  }
  const type = movingType(png.animation, job)
  if (!type) return { ...(await still()), motion: motionOf(png.animation, job) }
  return await movingOr(still, async () => {
    const moving = await decoding(contentType, allFrames(png, job, type))
    return { ...(await write(job, contentType, moving)), source }
  })
}

async function frameOf(png: AnimatedPng, job: ThumbnailJob): Promise<Sharp> {
  let before = chooseFrame(png.animation, job)
  for await (const canvas of composeFrames(png)) if (before-- === 0) return onCanvas(canvas, png.animation)
  throw new Error(`the animation has ${png.frames.length} frames only`)
}

/** Each frame is made small before the next is decoded, so that small ones are all that is held. */
async function allFrames(png: AnimatedPng, job: ThumbnailJob, type: AnimationType): Promise<Sharp> {
  const frames: Buffer[] = []
  let size: Size = png.animation
  for await (const canvas of composeFrames(png)) {
    const resized = resize(onCanvas(canvas, png.animation), png.animation, job).raw()
    const { data, info } = await resized.toBuffer({ resolveWithObject: true })
    frames.push(data)
    size = info
  }
  const { width, height } = size
  // One below the other, as libvips wants them.
  const raw = { width, height: height * frames.length, pageHeight: height, channels: 4 } as const
  const all = sharp(Buffer.concat(frames), { raw, limitInputPixels: job.limits.maxPixels })
  return encodeMoving(all, type, { delay: [...png.animation.delays], loop: png.plays })
}

function onCanvas(canvas: Buffer, { width, height }: Size): Sharp {
  return sharp(canvas, { raw: { width, height, channels: 4 } })
}
