import { writeFile } from 'node:fs/promises'
import sharp from 'sharp'
import type { Metadata, Sharp } from 'sharp'
import { Refused } from '../../lib/errors.ts'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import type { Size } from '../sizes.ts'

/** The decoders that are offered; every other one of libvips is blocked in the worker. */
const decoders = [
  'VipsForeignLoadJpegFile',
  'VipsForeignLoadPngFile',
  'VipsForeignLoadNsgifFile',
  'VipsForeignLoadWebpFile',
]

/**
 * Stills of JPEG, PNG, GIF and WebP, by libvips. Answers are PNG or JPEG, which every client shows; an animation gives its
 * first picture.
 */
export const images: Generator = {
  types: new Map([
    ['image/jpeg', ['image/jpeg', 'image/jpg']],
    ['image/png', ['image/png']],
    // Senders call these image/png; the bytes tell that they are animated.
    ['image/apng', ['image/apng', 'image/png']],
    ['image/gif', ['image/gif']],
    ['image/webp', ['image/webp']],
  ]),
  prepare,
  generate,
}

function prepare(): void {
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: decoders })
  sharp.cache(false)
  // One image, one thread: the pool of workers is what uses the other cores.
  sharp.concurrency(1)
}

async function generate(job: ThumbnailJob, contentType: string, timeLimitMs: number): Promise<Generated> {
  const header = await decoding(contentType, open(job, false).metadata())
  checkPixels(header, job)
  // What comes out stands upright, so sizes are compared and cropped as a person sees the picture.
  const upright = { width: header.autoOrient.width, height: header.autoOrient.height }
  const fitsAsItIs = upright.width <= job.width && upright.height <= job.height
  if (fitsAsItIs && mayBeServed(contentType, header)) return { kind: 'original', contentType, ...upright }
  const resized = resize(
    open(job, job.limits.maxPixels).autoOrient(),
    upright,
    fitsAsItIs ? { ...upright, method: 'scale' } : job,
  )
  const encoded = encode(resized, contentType, header).timeout({ seconds: wholeSeconds(timeLimitMs) })
  const { data, info } = await decoding(contentType, encoded.toBuffer({ resolveWithObject: true }))
  await writeFile(job.target, data)
  return {
    kind: 'thumbnail',
    contentType: `image/${info.format}`,
    width: info.width,
    height: info.height,
    bytes: data.length,
  }
}

function open({ source }: ThumbnailJob, limitInputPixels: number | false): Sharp {
  return sharp(source, { failOn: 'error', sequentialRead: true, limitInputPixels, pages: 1 })
}

function checkPixels(header: Metadata, { limits }: ThumbnailJob): void {
  if (header.width * header.height < limits.maxPixels) return
  throw new Refused(
    'too_large',
    `This image has ${header.width} × ${header.height} pixels; thumbnails are made of images with fewer than ` +
      `${limits.maxPixels} pixels`,
  )
}

/**
 * Whether an image that is small enough already can itself be the answer: a still in a type that may be shown inline, the
 * right way up, in colours that every client can show.
 */
function mayBeServed(contentType: string, header: Metadata): boolean {
  const still = contentType === 'image/jpeg' || contentType === 'image/png'
  return still && (header.orientation ?? 1) === 1 && header.space !== 'cmyk'
}

/**
 * `scale` fits the picture inside the size, `crop` fills it and cuts off what hangs over. Neither enlarges: a picture that
 * fits as it is was dealt with before.
 */
function resize(image: Sharp, source: Size, { width, height, method }: Size & Pick<ThumbnailJob, 'method'>): Sharp {
  if (method === 'scale') return image.resize(width, height, { fit: 'inside' })
  // A source that is too small in one direction gives as much as it has of the aspect ratio asked for.
  const available = Math.min(1, source.width / width, source.height / height)
  return image.resize(atLeastOne(width * available), atLeastOne(height * available), { fit: 'cover' })
}

function atLeastOne(pixels: number): number {
  return Math.max(1, Math.round(pixels))
}

/** Metadata is left out and colours become sRGB, which is what sharp does unless told otherwise. */
function encode(image: Sharp, contentType: string, header: Metadata): Sharp {
  const asJpeg = contentType === 'image/jpeg' || (contentType === 'image/webp' && !header.hasAlpha)
  return asJpeg ? image.jpeg({ quality: 85 }) : image.png()
}

/** sharp counts in whole seconds, from 1; the process is ended soon after if that does not help. */
function wholeSeconds(ms: number): number {
  return Math.max(1, Math.floor(ms / 1000))
}

/** What libvips says of a bad file goes to the log as the cause: it may name paths. */
async function decoding<Result>(contentType: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (cause) {
    throw new Refused(
      'not_thumbnailable',
      `Cannot make a thumbnail: this file cannot be decoded as ${contentType}; it may be damaged`,
      { cause },
    )
  }
}
