import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ThumbnailLimits } from './job.ts'
import type { ThumbnailPool } from './pool.ts'
import type { Size } from './sizes.ts'

export interface LookAtParts {
  readonly thumbnailPool: Pick<ThumbnailPool, 'generate'>
  /** A folder for files that nobody keeps. */
  readonly scratch: string
}

export interface LookAtOptions extends ThumbnailLimits {
  /** `thumbnails.types`. */
  readonly types: readonly string[]
}

/** What a picture is: the type of its bytes, and its size, upright, in pixels. */
export interface Seen extends Size {
  readonly contentType: string
}

/** Small, since nobody gets it: most decoders need not do all the work then. */
const SIDE = 64

/**
 * Has a picture of strangers looked at, in a process of its own: decoded, so that what is said of it holds. Recordings, films and
 * documents are none.
 *
 * @throws Refused `too_large`, `not_thumbnailable`, or `limited` when too many wait
 */
export async function lookAt(
  { thumbnailPool, scratch }: LookAtParts,
  source: string,
  { types, maxPixels, maxSourceBytes }: LookAtOptions,
  signal: AbortSignal,
): Promise<Seen> {
  const target = join(scratch, randomUUID())
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.defer(() => rm(target, { force: true }))
  const pictures = types.filter((type) => type.startsWith('image/'))
  const size = { width: SIDE, height: SIDE, method: 'scale' } as const
  const limits = { maxPixels, maxSourceBytes }
  const job = { source, target, ...size, limits, types: pictures, stillFrame: 0 }
  const generated = await thumbnailPool.generate(job, signal)
  const { width, height } = generated.source ?? generated
  return { contentType: generated.sourceType ?? generated.contentType, width, height }
}
