import { existsSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import PQueue from 'p-queue'
import { objectsAfterHash } from '../../db/object-care.ts'
import { openSnapshot } from '../../db/sqlite-snapshot.ts'
import { makeLastingFolder, syncFolder } from '../../lib/durable.ts'
import { Refused } from '../../lib/errors.ts'
import { type Kept, keepFile } from './keep-file.ts'
import { databaseIn, folderOf, type Manifest, objectsIn, PARTIAL, placeBelow, readManifest } from './layout.ts'

export interface RestoreOptions {
  readonly backup: string
  /** The database's file, which must not be there yet. */
  readonly database: string
  /** The folders of the configured datastores of type `file`, by id. */
  readonly folders: ReadonlyMap<string, string>
  readonly links: boolean
  readonly signal: AbortSignal
}

export interface RestoreReport extends Readonly<Record<Kept, number>> {
  readonly manifest: Manifest
}

const PAGE = 500
const AT_ONCE = 8

/**
 * Puts a backup where the configuration says: the objects first, the database last, so that a server that starts too soon finds
 * nothing rather than half. Broken off, it goes on where it was. Throws `Refused` before anything is written where a database is there
 * already or a datastore is not configured.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const manifest = await readManifest(options.backup)
  refuse(options, manifest)
  const counts: Record<Kept, number> = { kept: 0, linked: 0, copied: 0, missing: 0 }
  await restoreObjects(options, counts)
  await restoreDatabase(options)
  return { ...counts, manifest }
}

function refuse({ database, folders }: RestoreOptions, { datastores }: Manifest): void {
  const without = datastores.filter(({ id, included }) => included && !folders.has(id)).map(({ id }) => id)
  if (without.length > 0) {
    const which = without.join(', ')
    throw new Refused(
      'bad_request',
      `the backup has objects of ${which}: configure datastores of type file with these ids`,
    )
  }
  // What a database that crashed left beside it would be written into the restored one, and destroy it.
  const there = ['', '-wal', '-shm', '-journal'].map((end) => database + end).filter((path) => existsSync(path))
  if (there.length === 0) return
  const are = there.length === 1 ? 'is' : 'are'
  throw new Refused(
    'bad_request',
    `${there.join(', ')} ${are} there already: stop the server, move the database (and -wal, -shm) away`,
  )
}

async function restoreObjects(options: RestoreOptions, counts: Record<Kept, number>): Promise<void> {
  const queue = new PQueue({ concurrency: AT_ONCE })
  const touched = new Set<string>()
  await using snapshot = openSnapshot(databaseIn(options.backup))
  for (let after = ''; ;) {
    options.signal.throwIfAborted()
    const page = await objectsAfterHash(snapshot.read, { after, limit: PAGE })
    await queue.addAll(
      page.map(({ datastore, location, size }) => async () => {
        const folder = options.folders.get(datastore)
        if (folder === undefined) return
        const from = placeBelow(join(objectsIn(options.backup), folderOf(datastore)), location)
        const to = placeBelow(folder, location)
        counts[await keepFile(from, to, size, options.links)]++
        touched.add(dirname(to))
      }),
    )
    const last = page.at(-1)
    if (!last) break
    after = last.sha256
  }
  for (const path of touched) await syncIfThere(path)
}

/** Objects that the backup lacks may be all that a folder was for. */
async function syncIfThere(path: string): Promise<void> {
  if (existsSync(path)) await syncFolder(path)
}

async function restoreDatabase({ backup, database }: RestoreOptions): Promise<void> {
  await makeLastingFolder(dirname(database), 0o700)
  await rm(database + PARTIAL, { force: true })
  // Never a link: the database is the one file that changes.
  await keepFile(databaseIn(backup), `${database}${PARTIAL}`, -1, false)
  {
    await using file = await open(database + PARTIAL, 'r+')
    await file.sync()
  }
  await rename(database + PARTIAL, database)
  await syncFolder(dirname(database))
}
