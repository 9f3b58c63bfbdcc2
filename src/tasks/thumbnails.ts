import { type ExpireParts, expireThumbnails } from '../thumbnails/expire.ts'
import type { Job } from './schedule.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Removes thumbnails that were not used for `expireAfterDays()` days; 0 = never. */
export function thumbnailsJob(parts: ExpireParts, expireAfterDays: () => number): Job {
  return {
    name: 'thumbnails',
    everyMs: HOUR_MS,
    async run({ signal }) {
      const days = expireAfterDays()
      if (days > 0) await expireThumbnails(parts, parts.clock.now() - days * DAY_MS, signal)
    },
  }
}
