import { createHash } from 'node:crypto'
import type { Datastores } from '../datastores/datastores.ts'
import { archiveBytes, s3UrlBytes } from './archive-bytes.ts'
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
  await using bytes = archiveBytes(plan)
  const sources = [bytes, s3UrlBytes(plan, parts.datastores.all)]
  // One: a tar is read from its beginning to its end.
  return await runImport({ ...parts, sources, copy: true, workers: 1 }, recordsOf(plan, owners))
}

/** Named by what is in it and in which order: a run goes on with another one's work only if both mean the same by a place. */
export function recordsOf(plan: ArchivePlan, owners: ArchiveOwners): RecordSource {
  const hash = createHash('sha256')
    .update(`${owners.only ?? ''}\n${plan.digest}`)
    .digest('hex')
  return archiveRecords(plan, `archive ${plan.entity} ${hash.slice(0, 16)}`, owners)
}
