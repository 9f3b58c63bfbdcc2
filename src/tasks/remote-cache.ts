import { remoteCacheTrimmed } from '../lib/background-events.ts'
import { type ModerationParts, type Moderator, remove } from '../media/moderation.ts'
import { trimRemoteCache } from '../media/remote-cache.ts'
import { Refused } from '../lib/errors.ts'
import type { Job } from './schedule.ts'

const HOUR_MS = 3_600_000
/** The program itself, by the administrator's `downloads.maxStoredBytes`. */
const REPOSITORY: Moderator = { userId: undefined, everywhere: true, serverName: null, actor: null }

/** Keeps the media of other servers within `maxBytes()`; 0 = no limit. */
export function remoteCacheJob(parts: ModerationParts, maxBytes: () => number): Job {
  return {
    name: 'remote media',
    everyMs: HOUR_MS,
    async run({ signal }) {
      const trimming = {
        db: parts.db,
        remove: (media: { origin: string; mediaId: string }) => removeUnprotected(parts, media),
      }
      const { removed, bytes } = await trimRemoteCache(trimming, maxBytes(), parts.clock.now(), signal)
      if (removed > 0) remoteCacheTrimmed(parts.events, { removed, bytes })
      return { report: { removed, bytes } }
    },
  }
}

async function removeUnprotected(parts: ModerationParts, media: { origin: string; mediaId: string }): Promise<number> {
  try {
    return await remove(parts, REPOSITORY, media)
  } catch (error) {
    if (error instanceof Refused && error.reason === 'forbidden') return 0
    throw error
  }
}
