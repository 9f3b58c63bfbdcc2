import type { MainConfig } from '../config/schema.ts'
import { retentionOf } from '../media/retention-rules.ts'
import type { ModerationParts } from '../media/moderation.ts'
import { type CareJobParts, careJobs } from './care.ts'
import { auditJob, type JobParts, standingJobs } from './jobs.ts'
import { ledgerJob } from './ledger.ts'
import { previewsJob } from './previews.ts'
import { remoteCacheJob } from './remote-cache.ts'
import { retentionJobs } from './retention.ts'
import type { Job } from './schedule.ts'
import { thumbnailsJob } from './thumbnails.ts'

export type AllJobsParts = JobParts & CareJobParts & ModerationParts

/** Everything that happens again and again. Their order is that of their places in the hour. */
export function allJobs(parts: AllJobsParts, main: () => MainConfig): readonly Job[] {
  return [
    ...standingJobs(parts),
    ...careJobs(parts, () => main().storage.scrubBytesPerHour),
    ...retentionJobs(parts, () => retentionOf(main())),
    remoteCacheJob(parts, () => main().downloads.maxStoredBytes),
    auditJob(parts, () => main().audit.keepDays),
    ledgerJob(parts, () => main().tasks.keepDays),
    thumbnailsJob(parts, () => main().thumbnails.expireAfterDays),
    previewsJob(parts, () => main().urlPreviews.expireAfterDays),
  ]
}
