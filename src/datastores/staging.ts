import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Refused } from '../lib/errors.ts'
import type { GrowingFile } from './growing-file.ts'
import { createFile, createPassingFile, type NewFile } from './new-file.ts'
import { createWatchedFile } from './watched-file.ts'

/**
 * A file that was received whole, but is not yet anybody's. Disposing it deletes it, unless it was used. Nothing makes it last
 * before `sync`: content that turns out to be stored already, or to be refused, waits for no disk.
 */
export interface StagedFile extends AsyncDisposable {
  readonly path: string
  readonly size: number
  /** Lower-case hex SHA-256. */
  readonly sha256: string
  /** Resolves once its bytes are on stable storage; wherever it was moved to meanwhile. */
  sync(): Promise<void>
  /** Says that the file was moved away: nothing is left to delete. */
  used(): void
}

export interface StageOptions {
  /** Bytes above which receiving ends with `too_large`; 0: no limit. */
  readonly maxBytes: number
  /** How many bytes were announced; receiving another number ends with `length_mismatch`. */
  readonly expectedBytes?: number | undefined
  /**
   * Lets others read the file while it is received. Whether it ends well is for the caller to tell it: only the caller knows when
   * it is stored. Its size, where it has one, counts as announced.
   */
  readonly growing?: GrowingFile | undefined
}

/**
 * Receives `source` into a new file of `folder` in one pass: limit, hash, write. Nothing is left behind when that
 * fails. A source that breaks off ends with its own error. A file that is only `passing` (because it is read once, at once, and
 * kept elsewhere) stays in the page cache.
 */
export async function stage(
  folder: string,
  source: AsyncIterable<Uint8Array>,
  options: StageOptions,
  { passing = false }: Lifetime = {},
): Promise<StagedFile> {
  const path = join(folder, randomBytes(16).toString('hex'))
  const file = await create(path, options, passing)
  try {
    const { size, sha256 } = await receive(file, source, options)
    return new Staged(path, file, { size, sha256 })
  } catch (error) {
    // A folder that cannot be written to may not let go of it either: then a later start sweeps it.
    file.close()
    await unlink(path).catch(() => {})
    throw error
  }
}

interface Lifetime {
  readonly passing?: boolean
}

function create(path: string, { expectedBytes, growing }: StageOptions, passing: boolean): Promise<NewFile> {
  if (growing) return createWatchedFile(path, growing, { passing })
  return passing ? createPassingFile(path, expectedBytes) : createFile(path, expectedBytes)
}

class Staged implements StagedFile {
  readonly path: string
  readonly size: number
  readonly sha256: string
  readonly #file: NewFile
  #left = true
  #open = true

  constructor(path: string, file: NewFile, { size, sha256 }: Pick<StagedFile, 'size' | 'sha256'>) {
    this.path = path
    this.size = size
    this.sha256 = sha256
    this.#file = file
  }

  sync(): Promise<void> {
    return this.#file.sync()
  }

  used(): void {
    this.#left = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open) this.#file.close()
    this.#open = false
    // What cannot be deleted is swept by a later start; it must not hide how the upload ended.
    if (this.#left) await unlink(this.path).catch(() => {})
    this.#left = false
  }
}

async function receive(
  file: NewFile,
  source: AsyncIterable<Uint8Array>,
  { maxBytes, growing, expectedBytes }: StageOptions,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of source) {
    size += chunk.length
    if (maxBytes > 0 && size > maxBytes) throw new Refused('too_large', `files may have ${maxBytes} bytes at most`)
    hash.update(chunk)
    await file.write(chunk)
  }
  // That of a growing file may be announced with its first bytes.
  const announced = expectedBytes ?? growing?.size
  if (announced !== undefined && size !== announced) {
    throw new Refused('length_mismatch', `${announced} bytes were announced, ${size} came`)
  }
  await file.finish()
  growing?.received()
  return { size, sha256: hash.digest('hex') }
}

/** Makes the staging folder and deletes what a crash left in it: files untouched for `olderThanMs`. Gives how many. */
export async function sweepStaging(folder: string, olderThanMs: number, now: number): Promise<number> {
  await mkdir(folder, { recursive: true, mode: 0o750 })
  let swept = 0
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const touched = await touchedAt(path)
    if (touched === undefined || touched > now - olderThanMs) continue
    await rm(path, { force: true, recursive: true })
    swept++
  }
  return swept
}

/** When a file was last written to; undefined when another server has put or deleted it since it was listed. */
async function touchedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
