import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ThumbnailLimits } from './job.ts'
import type { Pdq } from './pdq.ts'
import type { ThumbnailPool } from './pool.ts'

export interface LooksParts {
  readonly thumbnailPool: Pick<ThumbnailPool, 'generate'>
  /** A folder for files that nobody keeps. */
  readonly scratch: string
}

export interface LooksOptions extends ThumbnailLimits {
  /** `thumbnails.types`. */
  readonly types: readonly string[]
}

/** Whoever publishes hashes makes pictures so small first: it makes no difference to see, and less to do. */
const SIDE = 512

/**
 * What a picture looks like, found out in a process of its own. Of what moves, and of films, it is a still.
 *
 * @throws Refused `too_large`, `not_thumbnailable`, or `limited` when too many wait
 */
export async function looksOf(
  { thumbnailPool, scratch }: LooksParts,
  source: string,
  { types, maxPixels, maxSourceBytes }: LooksOptions,
  signal: AbortSignal,
): Promise<Pdq> {
  const target = join(scratch, randomUUID())
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.defer(() => rm(target, { force: true }))
  const size = { width: SIDE, height: SIDE, method: 'scale' } as const
  const job = {
    source,
    target,
    ...size,
    limits: { maxPixels, maxSourceBytes },
    types,
    stillFrame: 0.5,
    pdq: true,
  } as const
  const { pdq } = await thumbnailPool.generate(job, signal)
  if (!pdq) throw new Error('a worker has said nothing of what a picture looks like')
  return pdq
}
