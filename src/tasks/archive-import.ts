import type { Manifest } from '../archives/manifest.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { endArchiveImport, findArchiveImport, uploadedParts } from '../db/archive-imports.ts'
import { type ArchiveFile, countMatching, manifestIn, planArchive } from '../imports/archive-plan.ts'
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
  const manifest = await manifestIn(files)
  const isOver = found.closedAt !== null || found.touchedAt < clock.now() - PATIENCE_MS
  if (!manifest) {
    if (isOver) return 'none of the files has a manifest.json: that of the archive is in its last file'
    return await wait(task, { looked: files.length, found: 0 })
  }
  if (!isOver) {
    const coming = await look(comingOf(task), manifest, files)
    if (coming.found < manifest.media.length) return await wait(task, coming)
  }
  const plan = await planArchive(manifest, files)
  const { homeservers } = parts.config()
  const named = (name: string) => homeservers.find((homeserver) => isSameServer(homeserver.name, name))
  const homeserver = named(serverOfEntity(manifest.entity)) ?? homeservers[0]
  if (!homeserver) return 'no homeserver is configured'
  const owners = {
    isOurs: (name: string) => named(name) !== undefined,
    isFrozen: (name: string) => (named(name) ?? homeserver).freezeUnauthenticatedMedia,
    only: undefined,
  }
  const { signal } = task
  const tally = await importArchive({ ...parts, homeserver, signal, onProgress: () => {} }, plan, owners)
  const { rows, bytes, outcomes } = tally
  await task.save({ rows, bytes, ...outcomes, unnamed_files: plan.unnamed })
  const problems = problemsIn(tally)
  return problems === 0 ? '' : `${problems} of ${rows} media could not be imported; \`progress\` says why`
}

async function wait(task: RunningTask, { looked, found }: Coming): Promise<undefined> {
  await task.save({ looked, found })
}

/** Each file is looked through once, however many come. */
async function look({ looked, found }: Coming, manifest: Manifest, files: readonly ArchiveFile[]): Promise<Coming> {
  // Files that came before the manifest could not be compared with it.
  const isFirst = found === 0
  const matching = await countMatching(manifest, isFirst ? files : files.slice(looked))
  return { looked: files.length, found: isFirst ? matching : found + matching }
}

async function filesOf({ db, datastores }: ImportTaskParts, importId: string): Promise<readonly ArchiveFile[]> {
  const uploaded = await uploadedParts(db.read, importId)
  return uploaded.map(({ part, datastore: id, location }) => {
    const datastore = datastores.get(id)
    if (!datastore) throw new Refused('bad_request', `file ${part} is in the datastore ${id}, which is not configured`)
    return { name: `file ${part}`, open: () => readWhole(datastore, location) }
  })
}
