import { unusedSince } from '../media/retention-rules.ts'
import { type ExpireParts, expireThumbnails } from '../thumbnails/expire.ts'
import { MOST_IN_A_RUN, PAUSE_MS } from './retention.ts'
import type { Job } from './schedule.ts'

const HOUR_MS = 3_600_000

/** Removes thumbnails that were not used for `expireAfterDays()` days; 0 = never. */
export function thumbnailsJob(parts: ExpireParts, expireAfterDays: () => number): Job {
  return {
    name: 'thumbnails',
    everyMs: HOUR_MS,
    async run({ signal }) {
      const before = unusedSince(expireAfterDays(), parts.clock.now())
      if (before === undefined) return undefined
      const { removed, isMore } = await expireThumbnails(parts, { before, most: MOST_IN_A_RUN }, signal)
      return { report: { removed }, ...(isMore && { againInMs: PAUSE_MS }) }
    },
  }
}
