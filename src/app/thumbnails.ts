import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConfigStore } from '../config/store.ts'
import type { DescriptionRecord } from '../db/descriptions.ts'
import { thisMachine } from '../lib/machine.ts'
import { SharedWork } from '../lib/shared-work.ts'
import { type MakingOptions, type MakingParts, ThumbnailMaking } from '../thumbnails/once.ts'
import { Placeholders } from '../thumbnails/placeholders.ts'
import { openThumbnailPool } from '../thumbnails/pool.ts'
import { PreGeneration } from '../thumbnails/pre-generate.ts'
import { lookForPrograms } from '../thumbnails/programs.ts'
import { workerCount } from '../thumbnails/worker-count.ts'

/** How many thumbnails may wait, and for how long, in ms. */
export type ThumbnailQueue = Pick<MakingOptions, 'waiting' | 'longestWaitMs'>

const THUMBNAIL_TIMEOUT_MS = 30_000
/** With the time that decoding may take, a wait stays within the minute after which proxies give up. */
export const THUMBNAIL_QUEUE: ThumbnailQueue = { waiting: 500, longestWaitMs: 25_000 }
/** A third of what the server gets where both want all of a core (decision 032). */
const DECODERS_NICENESS = 5
/** While one is decoded, the next one's source is fetched and the last one is stored. */
const THUMBNAILS_PER_WORKER = 4

interface ThumbnailsNeed extends MakingParts {
  readonly queue: ThumbnailQueue
  /** The folders in which to look for programs, as in `PATH`. */
  readonly path: string
}

/** What makes thumbnails. The start does not wait for the search for programs; the first thumbnail does. */
export async function openThumbnails(parts: AsyncDisposableStack, config: ConfigStore, need: ThumbnailsNeed) {
  const { log, queue, path } = need
  const { main, homeservers } = config.current()
  const types = homeservers.flatMap(({ thumbnails }) => thumbnails.types)
  const programs = parts.use(lookForPrograms(path, types, log))
  const workers = workerCount(main.thumbnails.numWorkers, thisMachine())
  const thumbnailPool = openThumbnailPool({
    workers,
    jobTimeoutMs: THUMBNAIL_TIMEOUT_MS,
    queueLimit: queue.waiting,
    longestWaitMs: queue.longestWaitMs,
    niceness: DECODERS_NICENESS,
    programs: programs.found,
    log,
  })
  parts.defer(() => thumbnailPool.close())
  const scratch = await mkdtemp(join(tmpdir(), 'cellarium-'))
  parts.defer(() => rm(scratch, { recursive: true, force: true }))
  return {
    thumbnailPool,
    scratch,
    thumbnailMaking: new ThumbnailMaking(need, { atATime: workers * THUMBNAILS_PER_WORKER, ...queue }),
    descriptionsUnderWay: new SharedWork<DescriptionRecord>(),
    placeholders: new Placeholders({ thumbnailPool, scratch, log }),
    preGeneration: parts.use(new PreGeneration()),
  }
}
