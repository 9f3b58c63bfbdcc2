import { writeArchive } from '../archives/write.ts'
import { folderPlace } from '../archives/folder.ts'
import type { LeftOut } from '../archives/part.ts'
import { type ArchiveFile, type ArchivePlan, manifestIn, planArchive } from '../imports/archive-plan.ts'
import type { ArchiveOwners } from '../imports/archive-records.ts'
import { importArchive, recordsOf } from '../imports/archive.ts'
import { checkImport } from '../imports/check.ts'
import type { LookingParts } from '../imports/rehearse.ts'
import type { Tally } from '../imports/tally.ts'
import { Refused } from '../lib/errors.ts'
import { isSameServer } from '../matrix/x-matrix.ts'
import { DatastoreSizes } from '../media/choose.ts'
import { serverOfEntity } from '../media/exports/order.ts'
import { mediaOf } from '../media/exports/source.ts'
import { stagingFolder, type Tools } from './tools.ts'

export interface FolderExport {
  /** A user id or a server name. */
  readonly entity: string
  readonly folder: string
  readonly withS3Urls: boolean
  readonly signal: AbortSignal
  /** Hears of each media that was looked at. */
  readonly onMedia: () => void
}

/** Writes an archive of all media of a user or a server into a folder; gives how many were left out, and why. */
export async function exportToFolder(
  tools: Tools,
  { entity, folder, withS3Urls, signal, onMedia }: FolderExport,
): Promise<Readonly<Partial<Record<LeftOut, number>>>> {
  const homeserver = homeserverOf(tools, entity)
  const { targetBytesPerPart: targetBytes } = homeserver.archiving
  using place = await folderPlace(folder, entity, tools.clock.now())
  const { createdAt } = place
  const source = async function* (after: string | undefined) {
    for await (const one of mediaOf({ ...tools, signal }, { entity, createdAt, withS3Urls }, after)) {
      onMedia()
      yield one
    }
  }
  await writeArchive(place, source, { entity, createdAt, targetBytes, signal })
  return await place.leftOut()
}

function homeserverOf({ snapshot }: Tools, entity: string) {
  const server = serverOfEntity(entity)
  const { homeservers } = snapshot
  const found = homeservers.find(({ name }) => isSameServer(name, server)) ?? homeservers[0]
  if (!found) throw new Refused('bad_request', 'no homeserver is configured')
  return found
}

export interface FolderImport {
  readonly files: readonly ArchiveFile[]
  /** Only what belongs to this user or server; undefined: all. */
  readonly only: string | undefined
  readonly signal: AbortSignal
  readonly onProgress: LookingParts['onProgress']
  readonly onProblem: LookingParts['onProblem']
}

/** An archive that was gone through. Dispose it when done. */
export interface OpenedArchive extends Disposable {
  readonly plan: ArchivePlan
  /** Of its import, in the database. */
  readonly source: string
  /** Takes it. */
  import(): Promise<Tally>
  /** Compares it with what is here, byte by byte. */
  check(): Promise<Tally>
}

/**
 * Goes through the files of an archive.
 *
 * @throws {Refused} `bad_request` where they are no archive, or not to be trusted
 */
export async function openArchiveFiles(
  tools: Tools,
  { files, only, ...hearing }: FolderImport,
): Promise<OpenedArchive> {
  using ending = new DisposableStack()
  const { signal } = hearing
  const manifest = await manifestIn(files, { temporary: stagingFolder(tools.main), signal })
  if (!manifest)
    throw new Refused('bad_request', 'none of the files has a manifest.json: that is in the archive’s last file')
  const plan = ending.use(await planArchive(manifest, files, signal))
  const homeserver = homeserverOf(tools, manifest.entity)
  const named = (name: string) => tools.snapshot.homeservers.find((one) => isSameServer(one.name, name))
  const owners: ArchiveOwners = {
    isOurs: (name) => named(name) !== undefined,
    isFrozen: (name) => (named(name) ?? homeserver).freezeUnauthenticatedMedia,
    only,
  }
  const records = recordsOf(plan, owners)
  const parts = { ...tools, homeserver, datastoreSizes: new DatastoreSizes(tools), ...hearing }
  const ended = ending.move()
  return {
    [Symbol.dispose]: () => ended.dispose(),
    plan,
    source: records.name,
    import: () => importArchive(parts, plan, owners),
    check: () => checkImport({ ...parts, sources: [], copy: true, workers: 4 }, records),
  }
}
