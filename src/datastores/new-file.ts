import { constants } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { AlignedBuffers } from '../lib/buffers.ts'

/** A file that is being written, from its beginning to its end. */
export interface NewFile {
  /** The chunk may change once this has resolved. */
  write(chunk: Uint8Array): Promise<void>
  /** Writes what is left, and lets go of all memory. */
  finish(): Promise<void>
  /** Resolves once the whole file, which is finished, is on stable storage. */
  sync(): Promise<void>
  /** To be called once, whatever happened. */
  close(): void
}

/** Bytes that are collected for one write: each one is a trip to another thread and back. */
const WRITTEN_AT_ONCE = 512 * 1024
/** From this size on, files go past the page cache. Smaller ones are likely to be read at once, for thumbnails and by the room. */
const LARGE = 8 * 1024 * 1024
/** What direct writes have to be aligned to, in memory, in the file and in length: no file system here wants more. */
const BLOCK = 4096
const DIRECT_AT_ONCE = 16
const WRITTEN_DIRECTLY_AT_ONCE = 1024 * 1024

const NOTHING = Buffer.alloc(0)
const alignedBuffers = new AlignedBuffers(WRITTEN_DIRECTLY_AT_ONCE, DIRECT_AT_ONCE)

/**
 * Makes the file at `path`, which must not exist. A large one is written past the page cache where that is possible: the
 * kernel then neither looks for memory to copy it to nor drops what is read again and again in its favour.
 */
export async function createFile(path: string, expectedBytes: number | undefined): Promise<NewFile> {
  const buffer = expectedBytes !== undefined && expectedBytes >= LARGE ? alignedBuffers.take() : undefined
  if (buffer) {
    const file = await openDirect(path)
    if (file) return new DirectFile(path, file, buffer)
    alignedBuffers.giveBack(buffer)
  }
  return new BufferedFile(await open(path, 'wx', 0o640), expectedBytes)
}

/** As `createFile`, for a file that is read at once and then deleted: it stays in the page cache. */
export async function createPassingFile(path: string, expectedBytes: number | undefined): Promise<NewFile> {
  return new BufferedFile(await open(path, 'wx', 0o600), expectedBytes)
}

/** Undefined where the file system has no such thing (`EINVAL`: open(2)). */
async function openDirect(path: string): Promise<FileHandle | undefined> {
  const { O_CREAT, O_EXCL, O_WRONLY, O_DIRECT } = constants
  if (O_DIRECT === undefined) return undefined
  try {
    return await open(path, O_CREAT | O_EXCL | O_WRONLY | O_DIRECT, 0o640)
  } catch (error) {
    if (!isInvalid(error)) throw error
    // Linux may have made the file before it found out.
    await rm(path, { force: true })
    return undefined
  }
}

/** Collects small chunks for few writes. Copied, because a chunk may change once the next one is asked for. */
class BufferedFile implements NewFile {
  readonly #file: FileHandle
  #buffer: Buffer
  #filled = 0

  constructor(file: FileHandle, expectedBytes: number | undefined) {
    this.#file = file
    this.#buffer = Buffer.allocUnsafe(Math.min(expectedBytes ?? WRITTEN_AT_ONCE, WRITTEN_AT_ONCE))
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#filled + chunk.length > this.#buffer.length) await this.#flush()
    if (chunk.length > this.#buffer.length) return await writeAll(this.#file, chunk)
    this.#buffer.set(chunk, this.#filled)
    this.#filled += chunk.length
  }

  async finish(): Promise<void> {
    await this.#flush()
    this.#buffer = NOTHING
  }

  sync(): Promise<void> {
    return this.#file.datasync()
  }

  close(): void {
    closeLater(this.#file)
  }

  async #flush(): Promise<void> {
    const filled = this.#filled
    this.#filled = 0
    await writeAll(this.#file, this.#buffer.subarray(0, filled))
  }
}

/** Writes whole blocks from an aligned buffer; the last one is filled up, and cut off again. */
class DirectFile implements NewFile {
  readonly #path: string
  #buffer: Buffer
  #file: FileHandle
  #filled = 0
  #written = 0

  constructor(path: string, file: FileHandle, buffer: Buffer) {
    this.#path = path
    this.#file = file
    this.#buffer = buffer
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.length;) {
      const some = chunk.subarray(from, from + this.#buffer.length - this.#filled)
      this.#buffer.set(some, this.#filled)
      this.#filled += some.length
      from += some.length
      if (this.#filled === this.#buffer.length) await this.#flush()
    }
  }

  async finish(): Promise<void> {
    const size = this.#written + this.#filled
    this.#filled = Math.ceil(this.#filled / BLOCK) * BLOCK
    await this.#flush()
    await this.#file.truncate(size)
    this.#letGo()
  }

  sync(): Promise<void> {
    return this.#file.datasync()
  }

  close(): void {
    this.#letGo()
    closeLater(this.#file)
  }

  #letGo(): void {
    if (this.#buffer !== NOTHING) alignedBuffers.giveBack(this.#buffer)
    this.#buffer = NOTHING
  }

  async #flush(): Promise<void> {
    for (let done = 0; done < this.#filled;) {
      const bytes = await this.#writeSome(done).catch((error: unknown) => {
        if (isInvalid(error)) return this.#goOnThroughTheCache()
        throw error
      })
      done += bytes
      this.#written += bytes
    }
    this.#filled = 0
  }

  async #writeSome(from: number): Promise<number> {
    const { bytesWritten } = await this.#file.write(this.#buffer, from, this.#filled - from, this.#written)
    return bytesWritten
  }

  /** After a write that ended short, or where the device wants larger blocks, direct writes are refused. */
  async #goOnThroughTheCache(): Promise<number> {
    const direct = this.#file
    this.#file = await open(this.#path, 'r+')
    closeLater(direct)
    return 0
  }
}

export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten
  }
}

/** What is synced does not depend on how closing ends: nobody waits for it. */
export function closeLater(file: FileHandle): void {
  file.close().catch(() => {})
}

function isInvalid(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EINVAL'
}
