import { randomUUID } from 'node:crypto'
import { mkdir, open, opendir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import {
  type ByteRange,
  type Datastore,
  type ForeignBytes,
  hasOnlyThumbnails,
  type KeptObject,
  type ListOptions,
  type ObjectDescription,
  ObjectMissing,
  type Offload,
  type OpenObject,
  type StoredKind,
} from './datastore.ts'
import { BufferPool } from '../lib/buffers.ts'
import { makeLastingFolder, syncFolder } from '../lib/durable.ts'
import { Folders, foldersSince } from './folders.ts'
import { linkFile } from './link-file.ts'
import { Mount } from './mount.ts'
import { type MakeOffload, parseOffload } from './offload.ts'
import { OpenFiles, type SharedFile } from './open-files.ts'
import { stage, type StagedFile, type StageOptions, sweepStaging } from './staging.ts'

const CHUNK = 256 * 1024
/** Up to this size, in bytes, an object is on its way sooner than a proxy could open it. */
const SENT_AT_ONCE = 16 * 1024
const STAGING = '.staging'
const BLOCK = 4096
const ABANDONED_AFTER_MS = 24 * 3600 * 1000

export interface FileDatastoreOptions {
  readonly id: string
  readonly path: string
  readonly kinds: ReadonlySet<StoredKind>
  /** The option of this name, as it is configured; empty or absent: we send every object ourselves. */
  readonly offload?: string | undefined
}

export interface FileDatastoreParts {
  readonly now: () => number
  readonly newName: () => string
}

/** Objects as files below one folder. Files stage in the same file system, so that putting is a rename. */
export async function openFileDatastore(options: FileDatastoreOptions, parts: FileDatastoreParts): Promise<Datastore> {
  const base = resolve(options.path)
  await makeLastingFolder(base, 0o750)
  const staging = join(base, STAGING)
  await sweepStaging(staging, ABANDONED_AFTER_MS, parts.now())
  // Thumbnails are made anew: some delete their folder to have room.
  const mount = hasOnlyThumbnails(options) ? undefined : await Mount.of(base, staging)
  return new FileDatastore(options, { base, staging, mount }, parts)
}

interface Place {
  readonly base: string
  readonly staging: string
  readonly mount: Mount | undefined
}

class FileDatastore implements Datastore {
  readonly listsRecentQuickly = true
  readonly id: string
  readonly uri: string
  readonly kinds: ReadonlySet<StoredKind>
  readonly #base: string
  readonly #staging: string
  readonly #mount: Mount | undefined
  readonly #folders: Folders
  readonly #now: () => number
  readonly #openFiles = new OpenFiles()
  readonly #offload: MakeOffload | undefined

  constructor(options: FileDatastoreOptions, { base, staging, mount }: Place, parts: FileDatastoreParts) {
    this.id = options.id
    this.uri = base
    this.kinds = options.kinds
    this.#base = base
    this.#staging = staging
    this.#mount = mount
    this.#folders = new Folders(base, parts)
    this.#now = parts.now
    this.#offload = parseOffload(options.offload, options.id)
  }

  async stage(source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedFile> {
    try {
      return await stage(this.#staging, source, options)
    } catch (error) {
      if (isMissing(error)) await this.#mount?.expect()
      throw error
    }
  }

  async put(staged: StagedFile, { remakeable = false }: ObjectDescription): Promise<string> {
    const folder = await this.#folders.next()
    const location = `${folder.name}/${basename(staged.path)}`
    try {
      await rename(staged.path, this.localPath(location))
      staged.used()
      if (remakeable) return location
      // Moved first: the file system then writes both down at once.
      await staged.sync()
      await folder.sync()
    } catch (error) {
      // Somebody may have deleted the folder, or its disk may be failing.
      this.#folders.startAnew()
      await this.delete(location)
      throw error
    }
    return location
  }

  async settle(location: string): Promise<void> {
    const path = this.localPath(location)
    try {
      await using file = await open(path, 'r')
      await file.datasync()
    } catch (error) {
      throw await this.#asMissing(error, location)
    }
    await syncFolder(dirname(path))
  }

  async adopt(bytes: ForeignBytes): Promise<string | undefined> {
    if (!('path' in bytes)) return undefined
    await this.#mount?.expect()
    const folder = await this.#folders.next()
    const location = `${folder.name}/${randomUUID()}`
    if (!(await linkFile(bytes.path, { to: this.localPath(location), readersOf: this.#base, now: this.#now() })))
      return undefined
    await folder.sync()
    return location
  }

  async open(location: string): Promise<OpenObject> {
    try {
      const path = this.localPath(location)
      const file = await this.#openFiles.acquire(path)
      return new OpenFile(file, file.size > SENT_AT_ONCE ? this.#offload?.({ location, path }) : undefined)
    } catch (error) {
      throw await this.#asMissing(error, location)
    }
  }

  async #asMissing(error: unknown, location: string): Promise<unknown> {
    if (!isMissing(error)) return error
    await this.#mount?.expect()
    return new ObjectMissing(this.id, location, { cause: error })
  }

  async sizeOf(location: string): Promise<number | undefined> {
    try {
      const found = await stat(this.localPath(location))
      return found.isFile() ? found.size : undefined
    } catch (error) {
      if (!isMissing(error)) throw error
      await this.#mount?.expect()
      return undefined
    }
  }

  localPath(location: string): string {
    return join(this.#base, location)
  }

  async delete(location: string): Promise<void> {
    const path = this.localPath(location)
    this.#openFiles.forget(path)
    try {
      await unlink(path)
    } catch (error) {
      if (!isMissing(error)) throw error
      await this.#mount?.expect()
    }
  }

  async *list({ since }: ListOptions = {}): AsyncGenerator<KeptObject> {
    await this.#mount?.expect()
    const folders = since === undefined ? [''] : foldersSince(this.#base, since)
    for await (const folder of folders) yield* this.#listFolder(folder)
  }

  async *#listFolder(folder: string): AsyncGenerator<KeptObject> {
    for await (const location of filesBelow(this.#base, folder)) {
      const found = await stat(this.localPath(location)).catch((error: unknown) => {
        // Deleted since its folder was read.
        if (!isMissing(error)) throw error
      })
      if (found?.isFile()) yield { location, size: found.size, putAt: found.mtimeMs }
    }
  }

  async sweepStaged(): Promise<number> {
    await this.#mount?.expect()
    return await sweepStaging(this.#staging, ABANDONED_AFTER_MS, this.#now())
  }

  /** Writes a block: whether there is room, and whether the disk takes it, is not to be found out otherwise. */
  async check(): Promise<void> {
    await this.#mount?.expect()
    // Where somebody deleted it, uploads can go on.
    await mkdir(this.#staging, { recursive: true, mode: 0o750 })
    const path = join(this.#staging, `check-${randomUUID()}`)
    try {
      await writeFile(path, Buffer.alloc(BLOCK), { flag: 'wx', mode: 0o640 })
    } finally {
      await rm(path, { force: true })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#openFiles[Symbol.asyncDispose]()
  }
}

/**
 * The paths of files below `base`, without those that are still being received, and those beside its folders: no object lies there,
 * but a database, a token or a configuration may, where somebody gave the folder of everything. Folder by folder: millions of them fit.
 */
async function* filesBelow(base: string, folder: string): AsyncGenerator<string> {
  for await (const entry of await opendir(join(base, folder))) {
    if (entry.name === STAGING) continue
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) yield* filesBelow(base, name)
    else if (folder !== '') yield name
  }
}

/** Enough for a few dozen downloads at once; what is above that is collected as garbage. */
const chunks = new BufferPool(CHUNK, 32)

class OpenFile implements OpenObject {
  readonly size: number
  readonly offload: Offload | undefined
  readonly #file: SharedFile
  #released = false

  constructor(file: SharedFile, offload: Offload | undefined) {
    this.#file = file
    this.size = file.size
    this.offload = offload
  }

  read({ start, end }: ByteRange): AsyncIterable<Uint8Array> {
    return end - start < CHUNK ? this.#readAtOnce(start, end) : this.#readAhead(start, end)
  }

  async *#readAtOnce(start: number, end: number): AsyncGenerator<Uint8Array> {
    const buffer = chunks.take()
    for (let position = start; position <= end;) {
      const chunk = await this.#fill(buffer, position, end)
      position += chunk.length
      yield chunk
    }
    chunks.giveBack(buffer)
  }

  /** Reads into a second buffer while the first is being sent. */
  async *#readAhead(start: number, end: number): AsyncGenerator<Uint8Array> {
    let buffer = chunks.take()
    let other = chunks.take()
    let reading = this.#fillAhead(buffer, start, end)
    try {
      for (let position = start; position <= end;) {
        const chunk = await reading
        position += chunk.length
        if (position <= end) reading = this.#fillAhead(other, position, end)
        yield chunk
        ;[buffer, other] = [other, buffer]
      }
      chunks.giveBack(buffer)
      chunks.giveBack(other)
    } finally {
      // A reader that stops early must not release the file under a read.
      await reading.catch(() => {})
    }
  }

  /** A failure waits for whoever awaits the result; until then it must not count as one that nobody handles. */
  #fillAhead(buffer: Buffer, position: number, end: number): Promise<Uint8Array> {
    const reading = this.#fill(buffer, position, end)
    reading.catch(() => {})
    return reading
  }

  async #fill(buffer: Buffer, position: number, end: number): Promise<Uint8Array> {
    const wanted = Math.min(buffer.length, end - position + 1)
    const bytes = await this.#file.read(buffer, wanted, position)
    if (bytes === 0) throw wasCut(position, end)
    return buffer.subarray(0, bytes)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#released) return
    this.#released = true
    this.#file.release()
  }
}

function wasCut(position: number, end: number): Error {
  return new Error(`the file ended at ${position}, before ${end}: it was cut`)
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}
