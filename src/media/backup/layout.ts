import { open, readFile, rename } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { syncFolder } from '../../lib/durable.ts'
import { Refused } from '../../lib/errors.ts'

/** Where things are in a backup, and what it says of itself. */
export interface Manifest {
  readonly format: 1
  /** Of the program that made it. */
  readonly version: string
  readonly madeAt: string
  readonly datastores: readonly BackedUp[]
}

export interface BackedUp {
  readonly id: string
  readonly type: string
  /** A path or a bucket. */
  readonly uri: string
  /** Whether its objects are in the backup. */
  readonly included: boolean
  readonly objects: number
  readonly bytes: number
}

const FORMAT = 1
const MANIFEST = 'manifest.json'
const OBJECTS = 'objects'
/** What ends so is being written, or was when somebody was killed. */
export const PARTIAL = '.partial'

export const databaseIn = (backup: string): string => join(backup, 'database.sqlite')
export const objectsIn = (backup: string): string => join(backup, OBJECTS)

/** The name of a datastore's folder: ids may be any text. */
export const folderOf = (datastore: string): string => encodeURIComponent(datastore).replaceAll('.', '%2E')

/** Where an object is, below a folder. Throws when it would be elsewhere. */
export function placeBelow(folder: string, location: string): string {
  const path = join(folder, location)
  if (path.startsWith(folder + sep)) return path
  throw new Refused('bad_request', `the location ${JSON.stringify(location)} leads out of ${folder}`)
}

export async function writeManifest(backup: string, manifest: Manifest): Promise<void> {
  const path = join(backup, MANIFEST)
  {
    await using file = await open(path + PARTIAL, 'w', 0o600)
    await file.writeFile(`${JSON.stringify(manifest, undefined, 2)}\n`)
    await file.sync()
  }
  await rename(path + PARTIAL, path)
  await syncFolder(backup)
}

/** Throws `Refused` where there is no whole backup, or one of a program that is newer than this. */
export async function readManifest(backup: string): Promise<Manifest> {
  const path = join(backup, MANIFEST)
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Refused('bad_request', `${path} cannot be read: ${backup} is no backup, or none that was finished`, {
      cause,
    })
  })
  const manifest = JSON.parse(text) as Omit<Manifest, 'format'> & { readonly format: unknown }
  const { format } = manifest
  if (format === FORMAT) return { ...manifest, format }
  throw new Refused('bad_request', `${path} has format ${String(format)}, this program reads ${FORMAT}`)
}
