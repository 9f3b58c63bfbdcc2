import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { originalPath, thumbnailPath } from '../interop/synapse/paths.ts'
import type { SynapseMedia } from '../interop/synapse/rows.ts'
import type { SynapseThumbnail } from '../interop/synapse/write.ts'
import { Refused } from '../lib/errors.ts'
import type { ThumbnailJob } from '../thumbnails/job.ts'
import type { ThumbnailPool } from '../thumbnails/pool.ts'
import type { MediaFolder } from './media-folder.ts'
import { THUMBNAILS, thumbnailsOf } from './synapse-rows.ts'

export interface ThumbnailParts {
  readonly pool: Pick<ThumbnailPool, 'generate'>
  readonly folder: MediaFolder
  readonly settings: Pick<ThumbnailJob, 'limits' | 'types' | 'stillFrame'>
  readonly signal: AbortSignal
}

/**
 * Makes the thumbnails that Synapse has of each picture, by our own decoders, also of types that it makes none of. What cannot be made, or would
 * be no smaller than the picture, is left for Synapse to make.
 */
export function synapseThumbnails({ pool, folder, settings, signal }: ThumbnailParts) {
  return async (row: SynapseMedia): Promise<readonly SynapseThumbnail[]> => {
    const place = originalPath(row)
    if (place === undefined || !/^(image|video|audio)\//.test(row.mediaType ?? '')) return []
    const made: SynapseThumbnail[] = []
    for (const size of THUMBNAILS) {
      // Synapse puts its type into the name of the file, and that is known when it is made.
      const type = thumbnailsOf(row)[0]?.type ?? 'image/png'
      const target = thumbnailPath(row, { ...size, type })
      if (target === undefined) return []
      const job = { source: join(folder.path, place), target: await folder.placeFor(target), ...size, ...settings }
      const generated = await pool.generate(job, signal).catch((error: unknown) => {
        if (!(error instanceof Refused)) throw error
      })
      if (!generated) return thumbnailsOf(row)
      if (generated.kind === 'original') {
        made.push(...thumbnailsOf(row).filter((one) => one.width === size.width && one.method === size.method))
        continue
      }
      const named = await folder.rename(target, thumbnailPath(row, { ...size, type: generated.contentType }) ?? target)
      const { size: length } = await stat(named)
      made.push({ ...size, type: generated.contentType, length })
    }
    return made
  }
}
