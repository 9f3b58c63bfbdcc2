import type { Manifest } from '../archives/manifest.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { endArchiveImport, findArchiveImport, uploadedParts } from '../db/archive-imports.ts'
import { type ArchiveFile, type ArchivePlan, filesIn, manifestIn, planArchive } from '../imports/archive-plan.ts'
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
  const plan = await planOrWait(comingOf(task), files, isOver)
  if (plan === 'no manifest') return 'none of the files has a manifest.json: that of the archive is in its last file'
  if ('looked' in plan) {
    await task.save({ ...plan })
    return undefined
  }
  const { manifest } = plan
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

/** What is to be imported; or how far the archive has come, while more of it may come. */
async function planOrWait(
  before: Coming,
  files: readonly ArchiveFile[],
  isOver: boolean,
): Promise<ArchivePlan | Coming | 'no manifest'> {
  const isIn = await manifestIn(notLookedAt(before, files))
  const coming = { looked: files.length, found: 0, manifest: isIn ? files.indexOf(isIn.file) + 1 : 0 }
  if (!isIn) return isOver ? 'no manifest' : coming
  const { manifest } = isIn
  const wanted = isOver ? 0 : manifest.media.length
  const found = isOver ? 0 : await look(before, manifest, files)
  if (found < wanted) return { ...coming, found }
  const plan = await planArchive(manifest, files)
  // A file that came twice was counted twice.
  return filesIn(plan) < wanted ? { ...coming, found: filesIn(plan) } : plan
}

/** Where the manifest may be. Each file is looked through once for it, however many come. */
const notLookedAt = ({ looked, manifest }: Coming, files: readonly ArchiveFile[]): readonly ArchiveFile[] =>
  manifest > 0 ? files.slice(manifest - 1, manifest) : files.slice(looked)

/** How many of the manifest's media are in the files. Each is looked through once for them. */
async function look({ looked, found }: Coming, manifest: Manifest, files: readonly ArchiveFile[]): Promise<number> {
  // Files that came before the manifest could not be compared with it.
  const isFirst = found === 0
  const matching = filesIn(await planArchive(manifest, isFirst ? files : files.slice(looked)))
  return isFirst ? matching : found + matching
}

async function filesOf({ db, datastores }: ImportTaskParts, importId: string): Promise<readonly ArchiveFile[]> {
  const uploaded = await uploadedParts(db.read, importId)
  return uploaded.map(({ part, datastore: id, location }) => {
    const datastore = datastores.get(id)
    if (!datastore) throw new Refused('bad_request', `file ${part} is in the datastore ${id}, which is not configured`)
    return { name: `file ${part}`, open: () => readWhole(datastore, location) }
  })
}
