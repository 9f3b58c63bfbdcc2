import * as archiveImports from './archive-imports.ts'
import * as audit from './audit.ts'
import * as deletion from './deletion.ts'
import * as descriptions from './descriptions.ts'
import * as exportMedia from './export-media.ts'
import * as exports from './exports.ts'
import * as foreignPlaces from './foreign-places.ts'
import * as importProblems from './import-problems.ts'
import * as imports from './imports.ts'
import * as jobs from './jobs.ts'
import * as judged from './judged.ts'
import * as leases from './leases.ts'
import * as media from './media.ts'
import * as care from './object-care.ts'
import * as mmrGone from './mmr/gone.ts'
import * as mmrIds from './mmr/ids.ts'
import * as mmrMedia from './mmr/media.ts'
import * as mmrReport from './mmr/report.ts'
import * as mmrState from './mmr/state.ts'
import * as mmrThumbnails from './mmr/thumbnails.ts'
import * as moderation from './moderation.ts'
import * as pending from './pending.ts'
import * as pings from './ping.ts'
import * as previewPurges from './preview-purges.ts'
import * as previews from './previews.ts'
import * as progress from './progress.ts'
import * as protection from './protection.ts'
import * as quarantineNames from './quarantine-names.ts'
import type { Unit } from './query.ts'
import * as quota from './quota.ts'
import * as remote from './remote.ts'
import * as reports from './reports.ts'
import * as repository from './repository.ts'
import * as tasks from './tasks.ts'
import * as thumbnails from './thumbnails.ts'
import * as tombstones from './tombstones.ts'
import * as transfer from './transfer.ts'
import * as unused from './unused.ts'
import * as usage from './usage.ts'

/** Every write unit by its name, for the thread that runs them. A new file of queries gets its line here. */
export const units: ReadonlyMap<string, Unit<never, unknown>> = new Map(
  [
    archiveImports,
    audit,
    care,
    deletion,
    descriptions,
    exportMedia,
    exports,
    foreignPlaces,
    importProblems,
    imports,
    jobs,
    judged,
    leases,
    media,
    mmrGone,
    mmrIds,
    mmrMedia,
    mmrReport,
    mmrState,
    mmrThumbnails,
    moderation,
    pending,
    pings,
    previewPurges,
    previews,
    progress,
    protection,
    quarantineNames,
    quota,
    remote,
    reports,
    repository,
    tasks,
    thumbnails,
    tombstones,
    transfer,
    unused,
    usage,
  ].flatMap((file) =>
    Object.values(file)
      .filter(isUnit)
      .map((found) => [found.unit, found] as const),
  ),
)

function isUnit(value: unknown): value is Unit<never, unknown> {
  return typeof value === 'object' && value !== null && 'unit' in value && 'run' in value
}
