/** What both database engines are held to: one suite on SQLite and on PostgreSQL. */
import { afterAll, describe } from 'vitest'
import { bulkContract } from './database/bulk.ts'
import { auditContract } from './database/audit.ts'
import { candidatesContract } from './database/candidates.ts'
import { datastoresContract } from './database/datastores.ts'
import { careContract } from './database/care.ts'
import { exportsContract } from './database/exports.ts'
import { importsContract } from './database/imports.ts'
import { leasesContract } from './database/leases.ts'
import { mediaContract } from './database/media.ts'
import { mmrContract } from './database/mmr.ts'
import { moderationContract } from './database/moderation.ts'
import { quarantineChangesContract } from './database/quarantine-changes.ts'
import { previewsContract } from './database/previews.ts'
import { quotaContract } from './database/quota.ts'
import { recordsContract } from './database/records.ts'
import { remoteContract } from './database/remote.ts'
import { reportsContract } from './database/reports.ts'
import { repositoryContract } from './database/repository.ts'
import { reservationsContract } from './database/reservations.ts'
import { type DatabaseUnderTest, type OpenDatabase, table } from './database/support.ts'
import { runnersContract } from './database/runners.ts'
import { schedulesContract } from './database/schedules.ts'
import { tasksContract } from './database/tasks.ts'
import { descriptionsContract } from './database/descriptions.ts'
import { thumbnailsContract } from './database/thumbnails.ts'
import { userListsContract } from './database/user-lists.ts'
import { usageContract } from './database/usage.ts'
import { userStatisticsContract } from './database/user-statistics.ts'

export function databaseContract(title: string, open: OpenDatabase): void {
  describe(title, () => {
    // One database for all of it, emptied for each test: making one takes longer than most tests.
    let opened: Promise<DatabaseUnderTest> | undefined
    const openEmpty: OpenDatabase = async () => {
      opened ??= open()
      const under = await opened
      await empty(under)
      return { ...under, async [Symbol.asyncDispose]() {} }
    }
    afterAll(async () => await (await opened)?.[Symbol.asyncDispose]())

    datastoresContract(openEmpty)
    mediaContract(openEmpty)
    reservationsContract(openEmpty)
    thumbnailsContract(openEmpty)
    descriptionsContract(openEmpty)
    usageContract(openEmpty)
    userStatisticsContract(openEmpty)
    quotaContract(openEmpty)
    recordsContract(openEmpty)
    leasesContract(openEmpty)
    tasksContract(openEmpty)
    schedulesContract(openEmpty)
    runnersContract(openEmpty)
    repositoryContract(openEmpty)
    careContract(openEmpty)
    bulkContract(openEmpty)
    candidatesContract(openEmpty)
    moderationContract(openEmpty)
    quarantineChangesContract(openEmpty)
    userListsContract(openEmpty)
    auditContract(openEmpty)
    remoteContract(openEmpty)
    previewsContract(openEmpty)
    reportsContract(openEmpty)
    mmrContract(openEmpty)
    importsContract(openEmpty)
    exportsContract(openEmpty)
  })
}

async function empty(under: DatabaseUnderTest): Promise<void> {
  const tables = ['thumbnails', 'media', 'deleted_media', 'pending_media', 'objects', 'usage_changes', 'usage_totals']
  tables.push('uploader_days', 'audit', 'quarantine_changes', 'recent_uploads')
  tables.push('previews', 'leases', 'jobs', 'tasks', 'unused_objects', 'repository', 'care_progress', 'reports')
  tables.push('mmr_take_over', 'mmr_media', 'mmr_places', 'mmr_problems')
  tables.push('import_problems', 'foreign_places')
  tables.push('exports', 'export_parts', 'export_media', 'archive_imports', 'archive_import_parts')
  for (const name of tables) await under.execute(`DELETE FROM ${table(under.db, name)}`)
  await under.execute(`DELETE FROM ${table(under.db, 'migrations')} WHERE name LIKE '9999%'`)
}
