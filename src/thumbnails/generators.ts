import { stat } from 'node:fs/promises'
import { fileTypeFromFile } from 'file-type'
import { Refused } from '../lib/errors.ts'
import { images } from './generators/image.ts'
import type { Generated, Generator, ThumbnailJob } from './job.ts'
import type { Outside } from './run-program.ts'

/** Everything that can make thumbnails. A new type is one file in `generators/` and one entry here. */
const generators: readonly Generator[] = [images]

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
  await checkBytes(job)
  const contentType = await sniff(job.source)
  return pickGenerator(contentType, job.types).generate(job, contentType, timeLimitMs, outside)
}

async function checkBytes({ source, limits }: ThumbnailJob): Promise<void> {
  const { size } = await stat(source)
  if (limits.maxSourceBytes > 0 && size > limits.maxSourceBytes) {
    throw new Refused(
      'too_large',
      `This file has ${size} bytes; thumbnails are made of files up to ${limits.maxSourceBytes} bytes`,
    )
  }
}

async function sniff(path: string): Promise<string> {
  const type = await fileTypeFromFile(path)
  if (!type)
    throw new Refused('not_thumbnailable', 'Cannot make a thumbnail: this file is of no type known to have one')
  return type.mime
}

function pickGenerator(contentType: string, enabled: readonly string[]): Generator {
  for (const generator of generators) {
    if (generator.types.get(contentType)?.some((name) => enabled.includes(name))) return generator
  }
  throw new Refused('not_thumbnailable', `Cannot make a thumbnail: this server makes none of ${contentType} files`)
}
