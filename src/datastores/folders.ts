import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder, syncParents } from '../lib/durable.ts'

const FILES_PER_FOLDER = 4096

/**
 * Gives new files their folder. Files that come together lie together: one folder is filled by one process until it has
 * 4,096 files or the day (UTC) ends. So folders stay small, two instances on one shared disk never write into the same one,
 * and uploads at the same time share one sync of their folder.
 */
export class Folders {
  readonly #base: string
  readonly #newName: () => string
  readonly #now: () => number
  #current: { readonly day: string; readonly folder: Promise<Folder>; files: number } | undefined

  constructor(base: string, parts: { readonly newName: () => string; readonly now: () => number }) {
    this.#base = base
    this.#newName = parts.newName
    this.#now = parts.now
  }

  /** The folder for the next file; it exists, and lasts. */
  async next(): Promise<Folder> {
    const day = dayOf(this.#now())
    if (!this.#current || this.#current.day !== day || this.#current.files >= FILES_PER_FOLDER) {
      const folder = makeFolder(this.#base, join(day, this.#newName()))
      this.#current = { day, folder, files: 0 }
      // A folder that could not be made is not offered again.
      folder.catch(() => (this.#current = undefined))
    }
    this.#current.files++
    return await this.#current.folder
  }

  /** Gives out no folder that is open now again: something is wrong with it. The next file gets a new one. */
  startAnew(): void {
    this.#current = undefined
  }
}

/** The folders of days not before that of `since`, relative to `base`: `2026/11/21`. Other programs' folders are none. */
export async function* foldersSince(base: string, since: number): AsyncGenerator<string> {
  const first = dayOf(since)
  for (const year of await foldersIn(base, '', /^\d{4}$/, first)) {
    for (const month of await foldersIn(base, year, /^\d{2}$/, first)) {
      yield* await foldersIn(base, month, /^\d{2}$/, first)
    }
  }
}

/** Those of `folder` whose names are of the form and that are not before `first`, as far as their names go. */
async function foldersIn(base: string, folder: string, form: RegExp, first: string): Promise<string[]> {
  const entries = await readdir(join(base, folder), { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory() && form.test(entry.name))
    .map((entry) => join(folder, entry.name))
    .filter((name) => name >= first.slice(0, name.length))
    .toSorted()
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10).replaceAll('-', '/')
}

/** Its parents are synced whoever made them: another server may have done so just now, and not have synced them yet. */
async function makeFolder(base: string, name: string): Promise<Folder> {
  const path = join(base, name)
  await mkdir(path, { recursive: true, mode: 0o750 })
  await syncParents(path, base)
  return new Folder(base, name)
}

/** A folder of objects, whose entries many uploads make durable together. */
export class Folder {
  /** Relative to the datastore: `2026/11/21/k3f9a2c1`. */
  readonly name: string
  readonly #path: string
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(base: string, name: string) {
    this.name = name
    this.#path = join(base, name)
  }

  /** Resolves when everything that was renamed into the folder before the call is on disk. */
  sync(): Promise<void> {
    // A sync under way may have begun before our rename; the one after it serves everybody who came meanwhile.
    if (this.#next) return this.#next
    if (!this.#running) return this.#begin()
    this.#next = this.#running.catch(() => {}).then(() => this.#begin())
    return this.#next
  }

  #begin(): Promise<void> {
    this.#next = undefined
    const run = syncFolder(this.#path).finally(() => {
      if (this.#running === run) this.#running = undefined
    })
    this.#running = run
    return run
  }
}
