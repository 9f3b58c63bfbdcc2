import { stat, readFile } from 'node:fs/promises'
import { Refused } from '../../lib/errors.ts'
import type { Generated, Generator, ThumbnailJob } from '../job.ts'
import { makeStill, type Picture, prepareLibvips, readHeader } from '../picture.ts'
import type { Size } from '../sizes.ts'

/** A drawing is text; what is larger is hardly one, and it is held in memory. */
const MOST_BYTES = 10 * 1024 ** 2
/** What SVG calls one unit is one pixel at this density. */
const PIXELS_PER_INCH = 72

/**
 * SVG by librsvg. It is given bytes, not a path: without a base address it resolves no reference to anything outside, be it
 * a file, an address or an external entity; it runs no scripts, and stops at a million elements (nested uses and entities
 * included). Filters that take for ever and pictures of gigapixels inside are for the worker's limits.
 */
export const svg: Generator = {
  types: new Map([['image/svg+xml', ['image/svg+xml']]]),
  prepare: prepareLibvips,
  generate,
}

async function generate(job: ThumbnailJob, contentType: string): Promise<Generated> {
  const drawing: Picture = {
    contentType,
    input: await read(job.source),
    loader: 'VipsForeignLoadSvgBuffer',
    opaque: 'png',
  }
  // width and height if it has them, else its viewBox.
  const { width, height } = await readHeader(drawing)
  const size = { width, height }
  return await makeStill(job, { ...drawing, size, options: { density: densityFor(size, job) } })
}

/** Drawn as small as the thumbnail needs, rather than drawn large and made small; never larger than it says it is. */
function densityFor(size: Size, job: ThumbnailJob): number {
  const ratios = [job.width / size.width, job.height / size.height]
  const needed = job.method === 'crop' ? Math.max(...ratios) : Math.min(...ratios)
  return Math.max(1, PIXELS_PER_INCH * Math.min(1, needed))
}

async function read(path: string): Promise<Buffer> {
  const { size } = await stat(path)
  if (size <= MOST_BYTES) return await readFile(path)
  throw new Refused('too_large', `This SVG has ${size} bytes; thumbnails are made of SVGs up to ${MOST_BYTES} bytes`)
}
