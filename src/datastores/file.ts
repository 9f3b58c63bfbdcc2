import { constants } from 'node:fs'
import { access, mkdir, rename, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { type ByteRange, type Datastore, ObjectMissing, type OpenObject, type StoredKind } from './datastore.ts'
import { BufferPool } from '../lib/buffers.ts'
import { Folders } from './folders.ts'
import { OpenFiles, type SharedFile } from './open-files.ts'
import { stage, type StagedFile, type StageOptions, sweepStaging } from './staging.ts'

const CHUNK = 256 * 1024
const STAGING = '.staging'
const ABANDONED_AFTER_MS = 24 * 3600 * 1000

export interface FileDatastoreOptions {
  readonly id: string
  readonly path: string
  readonly kinds: ReadonlySet<StoredKind>
}

export interface FileDatastoreParts {
  readonly now: () => number
  readonly newName: () => string
}

/** Objects as files below one folder. Files stage in the same file system, so that putting is a rename. */
export async function openFileDatastore(options: FileDatastoreOptions, parts: FileDatastoreParts): Promise<Datastore> {
  const base = resolve(options.path)
  await mkdir(base, { recursive: true, mode: 0o750 })
  await sweepStaging(join(base, STAGING), ABANDONED_AFTER_MS, parts.now())
  return new FileDatastore(options, base, new Folders(base, parts))
}

class FileDatastore implements Datastore {
  readonly id: string
  readonly uri: string
  readonly kinds: ReadonlySet<StoredKind>
  readonly #base: string
  readonly #staging: string
  readonly #folders: Folders
  readonly #openFiles = new OpenFiles()

  constructor(options: FileDatastoreOptions, base: string, folders: Folders) {
    this.id = options.id
    this.uri = base
    this.kinds = options.kinds
    this.#base = base
    this.#staging = join(base, STAGING)
    this.#folders = folders
  }

  stage(source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedFile> {
    return stage(this.#staging, source, options)
  }

  async put(staged: StagedFile): Promise<string> {
    const folder = await this.#folders.next()
    const location = `${folder.name}/${basename(staged.path)}`
    await rename(staged.path, this.localPath(location))
    try {
      await folder.sync()
    } catch (error) {
      await this.delete(location)
      throw error
    }
    return location
  }

  async open(location: string): Promise<OpenObject> {
    try {
      return new OpenFile(await this.#openFiles.acquire(this.localPath(location)))
    } catch (error) {
      throw isMissing(error) ? new ObjectMissing(this.id, location, { cause: error }) : error
    }
  }

  async has(location: string): Promise<boolean> {
    try {
      return (await stat(this.localPath(location))).isFile()
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
  }

  localPath(location: string): string {
    return join(this.#base, location)
  }

  async delete(location: string): Promise<void> {
    const path = this.localPath(location)
    this.#openFiles.forget(path)
    await rm(path, { force: true })
  }

  async check(): Promise<void> {
    await access(this.#staging, constants.W_OK | constants.X_OK)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#openFiles[Symbol.asyncDispose]()
  }
}

/** Enough for a few dozen downloads at once; what is above that is collected as garbage. */
const chunks = new BufferPool(CHUNK, 32)

class OpenFile implements OpenObject {
  readonly size: number
  readonly #file: SharedFile

  constructor(file: SharedFile) {
    this.#file = file
    this.size = file.size
  }

  /** Reads ahead into a second buffer while the first is being sent. */
  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    const { bytes } = this.#file
    if (bytes) {
      yield bytes.subarray(start, end + 1)
      return
    }
    let buffer = chunks.take()
    if (end - start < CHUNK) {
      yield await this.#fill(buffer, start, end)
      chunks.giveBack(buffer)
      return
    }
    let other = chunks.take()
    let reading = this.#fill(buffer, start, end)
    try {
      for (let position = start; position <= end;) {
        const chunk = await reading
        position += chunk.length
        if (position <= end) reading = this.#fill(other, position, end)
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

  async #fill(buffer: Buffer, position: number, end: number): Promise<Uint8Array> {
    const wanted = Math.min(buffer.length, end - position + 1)
    const bytes = await this.#file.read(buffer, wanted, position)
    if (bytes === 0) throw new Error(`the file ended at ${position}, before ${end}: it was cut`)
    return buffer.subarray(0, bytes)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file.release()
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}
