import { createHash } from 'node:crypto'
import type { Datastores } from '../datastores/datastores.ts'
import { formatMxc } from '../matrix/ids.ts'
import { archiveBytes, plannedByName, s3UrlBytes } from './archive-bytes.ts'
import type { ArchivePlan } from './archive-plan.ts'
import { type ArchiveOwners, archiveRecords } from './archive-records.ts'
import type { RecordSource } from './records.ts'
import { type ImportParts, runImport } from './run.ts'
import type { Tally } from './tally.ts'

export type ArchiveImportParts = Omit<ImportParts, 'sources' | 'copy' | 'workers'> & { readonly datastores: Datastores }

/**
 * Takes the media of an archive whose hashes are right, with their names, owners and times of creation. What is here stays as it is, what
 * was deleted here stays deleted, and what is quarantined here is so under its new names, too. A run that was broken off is gone on with.
 */
export async function importArchive(
  parts: ArchiveImportParts,
  plan: ArchivePlan,
  owners: ArchiveOwners,
): Promise<Tally> {
  const byName = plannedByName(plan)
  await using bytes = archiveBytes(byName)
  const sources = [bytes, s3UrlBytes(byName, parts.datastores.all)]
  // One: a tar is read from its beginning to its end.
  return await runImport({ ...parts, sources, copy: true, workers: 1 }, recordsOf(plan, owners))
}

/** Named by what is in it and in which order: a run goes on with another one's work only if both mean the same by a place. */
export function recordsOf(plan: ArchivePlan, owners: ArchiveOwners): RecordSource {
  const hash = createHash('sha256').update(owners.only ?? '')
  for (const { media, file } of plan.media) hash.update(`${formatMxc(media)} ${file ? 'here' : 'not here'}\n`)
  return archiveRecords(plan, `archive ${plan.manifest.entity} ${hash.digest('hex').slice(0, 16)}`, owners)
}
