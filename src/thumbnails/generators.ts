import { statSync } from 'node:fs'
import { Refused } from '../lib/errors.ts'
import { blurhashOf } from './blurhash.ts'
import { apng } from './generators/apng.ts'
import { avif } from './generators/avif.ts'
import { bmp } from './generators/bmp.ts'
import { gif } from './generators/gif.ts'
import { heif } from './generators/heif.ts'
import { jpeg } from './generators/jpeg.ts'
import { jxl } from './generators/jxl.ts'
import { media } from './generators/media.ts'
import { pdf } from './generators/pdf.ts'
import { png } from './generators/png.ts'
import { svg } from './generators/svg.ts'
import { tiff } from './generators/tiff.ts'
import { webp } from './generators/webp.ts'
import type { Generated, Generator, ThumbnailJob } from './job.ts'
import { pdqOfMade } from './pdq-of-made.ts'
import type { Outside } from './run-program.ts'
import { sniff } from './sniff.ts'

/** Everything that can make thumbnails. A new type is one file in `generators/` and one entry here. */
const generators: readonly Generator[] = [jpeg, png, apng, gif, webp, avif, tiff, bmp, heif, jxl, svg, media, pdf]

/** The names in `thumbnails.types` that enable something. */
export const typeNames = (): ReadonlySet<string> =>
  new Set(generators.flatMap(({ types }) => [...types.values()].flat()))

/** Makes this process ready to decode; for worker processes, as it blocks decoders for the whole process. */
export function prepareGenerators(): void {
  for (const generator of generators) generator.prepare()
}

/**
 * Makes one thumbnail, in this process. What the bytes are decides which decoder reads them; what their sender called them
 * decides nothing.
 *
 * @throws Refused `too_large` (bytes or pixels), `not_thumbnailable` (type unknown, not enabled, or damaged).
 */
export async function generateThumbnail(job: ThumbnailJob, timeLimitMs: number, outside: Outside): Promise<Generated> {
  checkBytes(job)
  const contentType = await sniff(job.source)
  if (!contentType) {
    throw new Refused('not_thumbnailable', 'Cannot make a thumbnail: this file is of no type known to have one')
  }
  const generated = await pickGenerator(contentType, job.types).generate(job, contentType, timeLimitMs, outside)
  const blurhash = job.blurhash ? { blurhash: await blurhashOf(job, generated, job.blurhash) } : {}
  const pdq = job.pdq ? { pdq: await pdqOfMade(job, generated) } : {}
  return { ...generated, sourceType: contentType, ...blurhash, ...pdq }
}

function checkBytes({ source, limits }: ThumbnailJob): void {
  const { size } = statSync(source)
  if (limits.maxSourceBytes > 0 && size > limits.maxSourceBytes) {
    throw new Refused(
      'too_large',
      `This file has ${size} bytes; thumbnails are made of files up to ${limits.maxSourceBytes} bytes`,
    )
  }
}

function pickGenerator(contentType: string, enabled: readonly string[]): Generator {
  for (const generator of generators) {
    if (generator.types.get(contentType)?.some((name) => enabled.includes(name))) return generator
  }
  throw new Refused('not_thumbnailable', `Cannot make a thumbnail: this server makes none of ${contentType} files`)
}
