import { join } from 'node:path'
import type { Snapshot } from '../config/snapshot.ts'
import { endArchiveImport, findArchiveImport, uploadedParts } from '../db/archive-imports.ts'
import {
  type ArchiveFile,
  type ArchivePlan,
  countEntries,
  manifestIn,
  planArchive,
  type Reading,
} from '../imports/archive-plan.ts'
import { type ArchiveImportParts, importArchive } from '../imports/archive.ts'
import { readWhole } from '../imports/bucket-bytes.ts'
import { problemsIn } from '../imports/tally.ts'
import { Refused } from '../lib/errors.ts'
import { isSameServer } from '../matrix/x-matrix.ts'
import { serverOfEntity } from '../media/exports/order.ts'
import { type Coming, comingOf, idOf, PATIENCE_MS } from './archive-import-kind.ts'
import type { RunningTask } from './run-task.ts'

export interface ImportTaskParts extends Omit<ArchiveImportParts, 'homeserver' | 'onProgress' | 'signal'> {
  /** The configuration of this moment. */
  readonly config: () => Snapshot
}

/** Looks through the files that came, and imports the archive once all that it names is there, or no more files come. */
export async function runArchiveImport(parts: ImportTaskParts, task: RunningTask): Promise<string | undefined> {
  const importId = idOf(task)
  try {
    const ended = await goOn(parts, task, importId)
    if (ended !== undefined) await parts.db.write(endArchiveImport, importId)
    return ended
  } catch (error) {
    if (error instanceof Refused) await parts.db.write(endArchiveImport, importId)
    throw error
  }
}

async function goOn(parts: ImportTaskParts, task: RunningTask, importId: string): Promise<string | undefined> {
  const { db, clock } = parts
  const found = await findArchiveImport(db.read, importId)
  if (!found) return 'the files of this import are gone: upload them again'
  const files = await filesOf(parts, importId)
  const isOver = found.closedAt !== null || found.touchedAt < clock.now() - PATIENCE_MS
  const { signal } = task
  const temporary = join(parts.config().main.repo.dataPath, 'staging')
  const planned = await planOrWait({ files, isOver, before: comingOf(task), temporary, signal })
  if (planned === 'no manifest') return 'none of the files has a manifest.json: that of the archive is in its last file'
  if ('looked' in planned) {
    await task.save({ ...planned })
    return undefined
  }
  using plan = planned
  const { homeservers } = parts.config()
  const named = (name: string) => homeservers.find((homeserver) => isSameServer(homeserver.name, name))
  const homeserver = named(serverOfEntity(plan.entity)) ?? homeservers[0]
  if (!homeserver) return 'no homeserver is configured'
  const owners = {
    isOurs: (name: string) => named(name) !== undefined,
    isFrozen: (name: string) => (named(name) ?? homeserver).freezeUnauthenticatedMedia,
    only: undefined,
  }
  const tally = await importArchive({ ...parts, homeserver, signal, onProgress: () => {} }, plan, owners)
  const { rows, bytes, outcomes } = tally
  await task.save({ rows, bytes, ...outcomes, unnamed_files: plan.unnamed })
  const problems = problemsIn(tally)
  return problems === 0 ? '' : `${problems} of ${rows} media could not be imported; \`progress\` says why`
}

interface Waiting extends Reading {
  readonly before: Coming
  readonly files: readonly ArchiveFile[]
  /** No more files come. */
  readonly isOver: boolean
}

/** What is to be imported; or how far the archive has come, while more of it may come. */
async function planOrWait(waiting: Waiting): Promise<ArchivePlan | Coming | 'no manifest'> {
  const { before, files, isOver, signal } = waiting
  const counted = isOver || before.manifest === 0 ? undefined : await countNew(before, files, signal)
  if (counted && counted.lacking > 0) return counted
  const manifest = await manifestIn(notLookedAt(before, files), waiting)
  if (!manifest) return isOver ? 'no manifest' : { looked: files.length, found: 0, manifest: 0, lacking: 0 }
  const plan = await planArchive(manifest, files, signal)
  const { found, lacking } = plan.index
  if (isOver || lacking === 0) return plan
  plan[Symbol.dispose]()
  return { looked: files.length, found, manifest: files.indexOf(manifest.file) + 1, lacking }
}

/** Files that came since are only counted, as long as some have to be lacking: a large manifest takes a minute to be read. */
async function countNew(before: Coming, files: readonly ArchiveFile[], signal: AbortSignal): Promise<Coming> {
  let came = 0
  for (const file of files.slice(before.looked)) came += await countEntries(file, signal)
  return { ...before, looked: files.length, found: before.found + came, lacking: before.lacking - came }
}

/** Where the manifest may be. Each file is looked through once for it, however many come. */
const notLookedAt = ({ looked, manifest }: Coming, files: readonly ArchiveFile[]): readonly ArchiveFile[] =>
  manifest > 0 ? files.slice(manifest - 1, manifest) : files.slice(looked)

async function filesOf({ db, datastores }: ImportTaskParts, importId: string): Promise<readonly ArchiveFile[]> {
  const uploaded = await uploadedParts(db.read, importId)
  return uploaded.map(({ part, datastore: id, location }) => {
    const datastore = datastores.get(id)
    if (!datastore) throw new Refused('bad_request', `file ${part} is in the datastore ${id}, which is not configured`)
    return { name: `file ${part}`, open: () => readWhole(datastore, location) }
  })
}
