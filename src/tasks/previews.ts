import { unusedSince } from '../media/retention-rules.ts'
import { type PurgeParts, removePreviews, sweepFailures } from '../previews/purge.ts'
import { MOST_IN_A_RUN, PAUSE_MS } from './retention.ts'
import type { Job } from './schedule.ts'

const HOUR_MS = 3_600_000

/**
 * Removes previews that nobody has asked for in `expireAfterDays()` days, with their pictures; 0 = none. Failures go once they
 * are over.
 */
export function previewsJob(parts: PurgeParts, expireAfterDays: () => number): Job {
  return {
    name: 'previews',
    everyMs: HOUR_MS,
    async run({ signal }) {
      await sweepFailures(parts, signal)
      const since = unusedSince(expireAfterDays(), parts.clock.now())
      if (since === undefined) return undefined
      const filter = { unusedSince: since }
      const { removed, pictures, isMore } = await removePreviews(parts, filter, undefined, signal, MOST_IN_A_RUN)
      return { report: { removed, pictures }, ...(isMore && { againInMs: PAUSE_MS }) }
    },
  }
}
