import { type PurgeParts, removePreviews, sweepFailures } from '../previews/purge.ts'
import type { Job } from './schedule.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Removes previews older than `expireAfterDays()` days, with their pictures; 0 = none. Failures go once they are over. */
export function previewsJob(parts: PurgeParts, expireAfterDays: () => number): Job {
  return {
    name: 'previews',
    everyMs: HOUR_MS,
    async run({ signal }) {
      await sweepFailures(parts, signal)
      const days = expireAfterDays()
      if (days > 0) await removePreviews(parts, { before: parts.clock.now() - days * DAY_MS }, undefined, signal)
    },
  }
}
