import { mkdir, open, rename } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import PQueue from 'p-queue'
import type { Datastore } from '../../datastores/datastore.ts'
import type { Datastores } from '../../datastores/datastores.ts'
import type { Database } from '../../db/connect.ts'
import { datastoresInUse } from '../../db/datastores-in-use.ts'
import { objectsAfterHash } from '../../db/object-care.ts'
import { findObject, type KnownObject } from '../../db/objects.ts'
import { openSnapshot, type Snapshot, writeSnapshot } from '../../db/sqlite-snapshot.ts'
import { syncFolder } from '../../lib/durable.ts'
import type { Clock } from '../../lib/clock.ts'
import { type Kept, keepFile } from './keep-file.ts'
import { type BackedUp, databaseIn, folderOf, objectsIn, PARTIAL, placeBelow, writeManifest } from './layout.ts'
import { prune } from './prune.ts'

export interface BackupParts {
  readonly db: Pick<Database, 'read'>
  readonly datastores: Datastores
  readonly clock: Clock
}

export interface BackupOptions {
  /** The database's file. */
  readonly database: string
  /** Where to; made where it is missing. One that holds a backup becomes the new one. */
  readonly folder: string
  /** Of this program. */
  readonly version: string
  /** Hard links instead of copies, where both are in one file system. */
  readonly links: boolean
  readonly signal: AbortSignal
}

export interface BackupReport extends Readonly<Record<Kept, number>> {
  readonly datastores: readonly BackedUp[]
  /** Bytes that were linked or copied. */
  readonly bytes: number
  /** Files of the backup before that the new one does not name. */
  readonly pruned: number
}

type Counts = Record<Kept, number> & { bytes: number }
/** What was written into has to be synced, once at the end: a folder holds thousands of files. */
type Touched = Set<string>
type Sums = Map<string, { objects: number; bytes: number }>

const PAGE = 500
const AT_ONCE = 8

/**
 * Makes a backup of database and folders while they are in use: first the database as it is at one moment, then the objects that this
 * one names, which never change. A backup that is there stays whole until the new one is: until then files are only added.
 */
export async function makeBackup(parts: BackupParts, options: BackupOptions): Promise<BackupReport> {
  const folder = resolve(options.folder)
  await mkdir(objectsIn(folder), { recursive: true, mode: 0o700 })
  const fresh = databaseIn(folder) + PARTIAL
  await writeSnapshot(options.database, fresh)
  const counts: Counts = { kept: 0, linked: 0, copied: 0, missing: 0, bytes: 0 }
  const sums: Sums = new Map()
  const touched: Touched = new Set()
  await using snapshot = openSnapshot(fresh)
  await keepObjects(parts, snapshot, { ...options, folder }, { counts, sums, touched })
  for (const path of touched) await syncFolder(path)
  const datastores = await describe(parts, snapshot, sums)
  await syncFile(fresh)
  await rename(fresh, databaseIn(folder))
  await writeManifest(folder, {
    format: 1,
    version: options.version,
    madeAt: new Date(parts.clock.now()).toISOString(),
    datastores,
  })
  return { ...counts, datastores, pruned: await prune(snapshot.read, folder) }
}

async function keepObjects(
  parts: BackupParts,
  snapshot: Snapshot,
  options: BackupOptions,
  { counts, sums, touched }: { readonly counts: Counts; readonly sums: Sums; readonly touched: Touched },
): Promise<void> {
  const queue = new PQueue({ concurrency: AT_ONCE })
  for (let after = ''; ;) {
    options.signal.throwIfAborted()
    const page = await objectsAfterHash(snapshot.read, { after, limit: PAGE })
    await queue.addAll(
      page.map((object) => async () => {
        const kept = await keepObject(parts, options, object)
        if (!kept) return
        counts[kept]++
        if (kept === 'linked' || kept === 'copied') {
          counts.bytes += object.size
          touched.add(dirname(placeOf(options.folder, object)))
        }
        if (kept !== 'missing') add(sums, object)
      }),
    )
    const last = page.at(-1)
    if (!last) return
    after = last.sha256
  }
}

/** Undefined: its datastore is no folder. A transfer may have moved it since the snapshot; its bytes are the same there. */
async function keepObject(
  { db, datastores }: BackupParts,
  { folder, links }: BackupOptions,
  object: KnownObject,
): Promise<Kept | undefined> {
  const from = datastores.get(object.datastore)?.localPath?.(object.location)
  if (from === undefined) return undefined
  const to = placeOf(folder, object)
  const kept = await keepFile(from, to, object.size, links)
  if (kept !== 'missing') return kept
  const now = await findObject(db.read, object.sha256)
  const moved = now && datastores.get(now.datastore)?.localPath?.(now.location)
  return moved === undefined ? 'missing' : await keepFile(moved, to, object.size, links)
}

function placeOf(folder: string, { datastore, location }: KnownObject): string {
  return placeBelow(join(objectsIn(folder), folderOf(datastore)), location)
}

function add(sums: Sums, { datastore, size }: KnownObject): void {
  const { objects, bytes } = sums.get(datastore) ?? { objects: 0, bytes: 0 }
  sums.set(datastore, { objects: objects + 1, bytes: bytes + size })
}

async function describe({ datastores }: BackupParts, snapshot: Snapshot, sums: Sums): Promise<BackedUp[]> {
  const ids = await datastoresInUse(snapshot.read)
  return ids.map((id) => {
    const datastore: Datastore | undefined = datastores.get(id)
    const type = datastore ? datastores.typeOf(datastore) : ''
    const sum = sums.get(id) ?? { objects: 0, bytes: 0 }
    return { id, type, uri: datastore?.uri ?? '', included: datastore?.localPath !== undefined, ...sum }
  })
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
  await syncFolder(join(path, '..'))
}
