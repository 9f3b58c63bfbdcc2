import type { ConfigStore } from '../config/store.ts'
import type { Notifier } from '../coordination/notifier.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import type { Clock } from '../lib/clock.ts'
import type { EventParts } from '../lib/events.ts'
import type { Log } from '../lib/log.ts'
import type { BulkRequestParts } from '../media/bulk-request.ts'
import { DatastoreSizes } from '../media/choose.ts'
import { retentionOf } from '../media/retention-rules.ts'
import { bulkKinds } from '../tasks/bulk.ts'
import { careJobs, startStagingSweep } from '../tasks/care.ts'
import { auditJob, standingJobs } from '../tasks/jobs.ts'
import { ledgerJob } from '../tasks/ledger.ts'
import { archiveImportKind, archiveImportsJob } from '../tasks/archive-import-kind.ts'
import { exportKind, exportsJob } from '../tasks/export-kind.ts'
import { mmrKind } from '../tasks/mmr.ts'
import { previewsJob } from '../tasks/previews.ts'
import { remoteCacheJob } from '../tasks/remote-cache.ts'
import { retentionJobs } from '../tasks/retention.ts'
import type { TaskKind } from '../tasks/run-task.ts'
import { TaskRunner } from '../tasks/runner.ts'
import { type Job, startSchedule } from '../tasks/schedule.ts'
import { thumbnailsJob } from '../tasks/thumbnails.ts'
import { transferKind, type TransferTaskParts } from '../tasks/transfer.ts'
import type { MmrParts } from './mmr.ts'
import { newToken } from './names.ts'

interface BackgroundParts extends TransferTaskParts {
  readonly db: Database
  readonly datastores: Datastores
  readonly notifier: Notifier
  readonly clock: Clock
  readonly events: EventParts
  readonly log: Log
}

/** What happens without a request: jobs (which it gives), tasks, sweeps. */
export function startBackground(parts: AsyncDisposableStack, config: ConfigStore, of: BackgroundParts): readonly Job[] {
  const { main } = config.current()
  const leased = { ...of, newToken }
  const jobs = [
    ...standingJobs(of),
    ...careJobs(of, () => config.current().main.storage.scrubBytesPerHour),
    ...retentionJobs(of, () => retentionOf(config.current().main)),
    remoteCacheJob(of, () => config.current().main.downloads.maxStoredBytes),
    auditJob(of, () => config.current().main.audit.keepDays),
    ledgerJob(of, () => config.current().main.tasks.keepDays),
    thumbnailsJob(of, () => config.current().main.thumbnails.expireAfterDays),
    exportsJob(of),
    archiveImportsJob(of),
    previewsJob(of, () => config.current().main.urlPreviews.expireAfterDays),
  ]
  parts.use(startSchedule({ ...leased, random: Math.random }, jobs))
  parts.use(startStagingSweep(of))
  const kinds = taskKinds({ ...of, config: () => config.current() })
  parts.use(new TaskRunner(leased, kinds, { atATime: main.tasks.numWorkers }))
  return jobs
}

interface TaskKindParts extends TransferTaskParts, BulkRequestParts, MmrParts {
  readonly db: Database
  readonly datastores: Datastores
  readonly notifier: Notifier
  readonly clock: Clock
  readonly events: EventParts
}

/** Everything that a task can be: a new kind is one file and one line here. */
export function taskKinds(parts: TaskKindParts): readonly TaskKind[] {
  const storing = { ...parts, newToken, log: parts.events.log, datastoreSizes: new DatastoreSizes(parts) }
  // Servers that take nothing over need none of it.
  const mmr = mmrKind(async (task) => await (await import('./mmr.ts')).goThroughHere(parts)(task))
  const exports = exportKind(async (task) => await (await import('../tasks/exports.ts')).runExport(storing, task))
  const imports = archiveImportKind(
    parts,
    async (task) => await (await import('../tasks/archive-import.ts')).runArchiveImport(storing, task),
  )
  return [transferKind(parts), ...bulkKinds(parts), exports, imports, mmr]
}
