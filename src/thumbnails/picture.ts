import { writeFileSync } from 'node:fs'
import sharp from 'sharp'
import type { Metadata, Sharp, SharpOptions } from 'sharp'
import { Refused } from '../lib/errors.ts'
import type { Generated, Generator, ThumbnailJob } from './job.ts'
import type { Size, ThumbnailSize } from './sizes.ts'

/** libvips' readers, by the names that it knows them by. */
export type Loader =
  | 'VipsForeignLoadJpegFile'
  | 'VipsForeignLoadPngFile'
  | 'VipsForeignLoadPngBuffer'
  | 'VipsForeignLoadNsgifFile'
  | 'VipsForeignLoadWebpFile'
  | 'VipsForeignLoadHeifFile'
  | 'VipsForeignLoadTiffFile'
  | 'VipsForeignLoadSvgBuffer'

/** What libvips is to make a thumbnail of. */
export interface Picture {
  /** The type of the original's bytes. */
  readonly contentType: string
  /** A path; or bytes, where a path would let the picture name other files. */
  readonly input: string | Buffer
  /** The only reader of libvips that may touch it; none for bare pixels. */
  readonly loader: Loader | 'none'
  /** What a thumbnail without transparency is; with transparency it is PNG. */
  readonly opaque: 'jpeg' | 'png'
  /** `upright`: a program that turned the picture already was before us, so what EXIF says of it is out of date. */
  readonly upright?: true
  readonly options?: Pick<SharpOptions, 'raw' | 'density' | 'page' | 'pages'>
  /** The size of the original in pixels, where `input` is not the original. */
  readonly size?: Size
}

/** A generator for a type that libvips reads from its file as it is; it makes stills if nothing else is given. */
export function pictures(
  types: Readonly<Record<string, readonly string[]>>,
  { loader, opaque }: Pick<Picture, 'loader' | 'opaque'>,
  make: typeof makeStill = makeStill,
): Generator {
  return {
    types: new Map(Object.entries(types)),
    prepare: prepareLibvips,
    generate: (job, contentType) => make(job, { contentType, input: job.source, loader, opaque }),
  }
}

/** Settings of a process that decodes. No reader works before a picture names the one it needs. */
export function prepareLibvips(): void {
  readOnlyWith('none')
  sharp.cache(false)
  // One image, one thread: the pool of workers is what uses the other cores.
  sharp.concurrency(1)
}

/**
 * A still thumbnail in the job's target, or the answer that the original will do. The steps are the same for every type;
 * what comes out is PNG or JPEG, which every client shows.
 *
 * @throws Refused `too_large` (pixels), or `not_thumbnailable` when the picture cannot be decoded
 */
export async function makeStill(job: ThumbnailJob, picture: Picture): Promise<Generated> {
  const header = await readHeader(picture)
  checkPixels(picture.size ?? header, job)
  // What comes out stands upright, so sizes are compared and cropped as a person sees the picture.
  const upright = picture.size ?? (picture.upright ? header : header.autoOrient)
  const { width, height } = upright
  if (fitsAsItIs(upright, job) && mayBeServed(picture.contentType, header)) {
    return { kind: 'original', contentType: picture.contentType, width, height, source: { width, height } }
  }
  const opened = open(picture, job.limits.maxPixels)
  // Of JPEGs that stand upright anyway, looking once more would take a thirtieth of all the time.
  const isTurned = !picture.upright && (header.orientation ?? 1) !== 1
  const resized = resize(isTurned ? opened.autoOrient() : opened, upright, job)
  const made = await write(job, picture.contentType, encode(resized, picture, header, job))
  return { ...made, source: { width, height } }
}

/**
 * Does what is planned with an image, and writes what comes out into the job's target. It takes as long as it takes: who started this
 * process ends it when the time is over. libvips' own watch over the time makes a JPEG a thirtieth slower.
 */
export async function write({ target }: ThumbnailJob, contentType: string, image: Sharp): Promise<Generated> {
  const { data, info } = await decoding(contentType, image.toBuffer({ resolveWithObject: true }))
  // This process has nothing else to do meanwhile.
  writeFileSync(target, data)
  return {
    kind: 'thumbnail',
    // AVIF is what libheif writes, as sharp sees it.
    contentType: info.format === 'heif' ? 'image/avif' : `image/${info.format}`,
    width: info.width,
    // Of one frame, where there are several.
    height: info.pageHeight ?? info.height,
    bytes: data.length,
  }
}

/** What the picture's first bytes say of it; nothing is decoded. From here on only its own reader works in this process. */
export async function readHeader(picture: Picture): Promise<Metadata> {
  readOnlyWith(picture.loader)
  return await decoding(picture.contentType, open(picture, false).metadata())
}

/** @throws Refused `too_large` when a picture has as many pixels as the limit, as in MMR */
export function checkPixels({ width, height }: Size, { limits }: Pick<ThumbnailJob, 'limits'>): void {
  if (width * height < limits.maxPixels) return
  throw new Refused(
    'too_large',
    `This image has ${width} × ${height} pixels; thumbnails are made of images with fewer than ` +
      `${limits.maxPixels} pixels`,
  )
}

/** The refusal of a file that is not what its first bytes say. What a decoder says of it goes to the log: it may name paths. */
export function damaged(contentType: string, cause: unknown): Refused {
  return new Refused(
    'not_thumbnailable',
    `Cannot make a thumbnail: this file cannot be decoded as ${contentType}; it may be damaged`,
    { cause },
  )
}

/** A worker makes one thumbnail at a time, so it never needs two readers. */
export function readOnlyWith(loader: Picture['loader']): void {
  sharp.block({ operation: ['VipsForeignLoad'] })
  if (loader !== 'none') sharp.unblock({ operation: [loader] })
}

export function open({ input, options }: Picture, limitInputPixels: number | false): Sharp {
  return sharp(input, { failOn: 'error', sequentialRead: true, limitInputPixels, pages: 1, ...options })
}

/**
 * Whether an image that is small enough already can itself be the answer: a still in a type that may be shown inline, the
 * right way up, in colours that every client can show.
 */
function mayBeServed(contentType: string, header: Metadata): boolean {
  const still = contentType === 'image/jpeg' || contentType === 'image/png'
  return still && (header.orientation ?? 1) === 1 && header.space !== 'cmyk'
}

/** Whether a source is no larger than asked, and so is neither made smaller nor cropped. */
export function fitsAsItIs(source: Size, asked: Size): boolean {
  return source.width <= asked.width && source.height <= asked.height
}

/** `scale` fits the picture inside the size asked for, `crop` fills it and cuts off what hangs over. Neither enlarges. */
export function resize(image: Sharp, source: Size, { width, height, method }: ThumbnailSize): Sharp {
  if (fitsAsItIs(source, { width, height })) return image.resize(source.width, source.height, { fit: 'inside' })
  if (method === 'scale') return image.resize(width, height, { fit: 'inside' })
  // A source that is too small in one direction gives as much as it has of the aspect ratio asked for.
  const available = Math.min(1, source.width / width, source.height / height)
  return image.resize(atLeastOne(width * available), atLeastOne(height * available), { fit: 'cover' })
}

function atLeastOne(pixels: number): number {
  return Math.max(1, Math.round(pixels))
}

/** What is encoded, as its first bytes say. */
type Encoded = Pick<Metadata, 'hasAlpha'> & Partial<Pick<Metadata, 'hasProfile' | 'depth'>>

/**
 * A still in the type that the job wants, or what every client shows. Metadata is left out and colours become sRGB, which is what
 * sharp does unless told otherwise.
 */
export function encode(
  image: Sharp,
  { opaque }: Pick<Picture, 'opaque'>,
  header: Encoded,
  { stillAs }: Pick<ThumbnailJob, 'stillAs'>,
): Sharp {
  // Except that it leaves pictures of 16 bits with a profile in Display P3, and does not say so.
  const wide = header.depth === 'ushort' && header.hasProfile
  const coloured = wide ? image.withIccProfile('srgb', { attach: false }) : image
  if (stillAs === 'image/webp') return coloured.webp({ quality: 80 })
  // An effort of 4, as sharp has it, makes it a tenth smaller and takes 25 times as long.
  if (stillAs === 'image/avif') return coloured.avif({ quality: 55, effort: 1 })
  return opaque === 'jpeg' && !header.hasAlpha ? coloured.jpeg({ quality: 85 }) : coloured.png()
}

/** What a decoder says of a file becomes the refusal of that file. */
export async function decoding<Result>(contentType: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work
  } catch (cause) {
    throw damaged(contentType, cause)
  }
}
