/** A folder as datastore, to be looked at from outside. */
import { constants } from 'node:fs'
import { open, readdir, readlink, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { vi } from 'vitest'
import type { Datastore, StoredKind } from '../../src/datastores/datastore.ts'
import { openFileDatastore } from '../../src/datastores/file.ts'
import { temporaryFolder } from '../support/folder.ts'
import type { DatastoreUnderTest } from './datastore.ts'

export const NOON = Date.parse('2030-03-04T12:00:00Z')

export interface FolderUnderTest extends DatastoreUnderTest {
  readonly path: string
}

export interface FolderOptions {
  readonly now?: () => number
  readonly kinds?: readonly StoredKind[]
}

export async function openFolder({ now = () => NOON, kinds }: FolderOptions = {}): Promise<FolderUnderTest> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  let names = 0
  const datastore: Datastore = cleanup.use(
    await openFileDatastore(optionsOf(path, kinds), { now, newName: () => `name${++names}` }),
  )
  const owned = cleanup.move()
  return {
    path,
    datastore,
    kept: () => filesBelow(path),
    handles: () => handlesBelow(path),
    lose: (location) => unlink(join(path, location)),
    cut: (location, bytes) => truncate(join(path, location), bytes),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export function optionsOf(path: string, kinds: readonly StoredKind[] = ['local_media']) {
  return { id: 'media', path, kinds: new Set(kinds) }
}

async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1)).toSorted()
}

/** Descriptors of this process below the folder; those of objects are kept ready for a moment after they were read. */
async function handlesBelow(path: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd')
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target.startsWith(`${path}/`)).length
}

/** What all file handles share: where their syncs can be watched. */
export async function handlePrototype(folder: string): Promise<Awaited<ReturnType<typeof open>>> {
  await using handle = await open(folder, constants.O_RDONLY)
  return Object.getPrototypeOf(handle)
}

/** Every file and folder that is synced from now on, relative to `base`. */
export async function recordSyncs(base: string): Promise<string[]> {
  const synced: string[] = []
  const prototype = await handlePrototype(base)
  for (const name of ['sync', 'datasync'] as const) {
    const really = prototype[name]
    vi.spyOn(prototype, name).mockImplementation(async function (this: { readonly fd: number }) {
      synced.push((await readlink(`/proc/self/fd/${this.fd}`)).slice(base.length + 1))
      await really.call(this as never)
    })
  }
  return synced
}
