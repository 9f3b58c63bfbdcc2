import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rm, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Refused } from '../lib/errors.ts'

/** A file that was received whole and is on stable storage, but not yet anybody's. Disposing it deletes it, unless it was used. */
export interface StagedFile extends AsyncDisposable {
  readonly path: string
  readonly size: number
  /** Lower-case hex SHA-256. */
  readonly sha256: string
  /** Says that the file was moved away: nothing is left to delete. */
  used(): void
}

export interface StageOptions {
  /** Bytes above which receiving ends with `too_large`; 0: no limit. */
  readonly maxBytes: number
  /** How many bytes were announced; receiving another number ends with `length_mismatch`. */
  readonly expectedBytes?: number | undefined
}

/**
 * Receives `source` into a new file of `folder` in one pass: limit, hash, write, sync. Nothing is left behind when that
 * fails. A source that breaks off ends with its own error.
 */
export async function stage(
  folder: string,
  source: AsyncIterable<Uint8Array>,
  options: StageOptions,
): Promise<StagedFile> {
  const path = join(folder, randomBytes(16).toString('hex'))
  const file = await open(path, 'wx', 0o640)
  try {
    const { size, sha256 } = await receive(file, source, options)
    return new Staged(path, size, sha256)
  } catch (error) {
    await unlink(path)
    throw error
  } finally {
    // What is synced does not depend on how closing ends: nobody waits for it.
    file.close().catch(() => {})
  }
}

class Staged implements StagedFile {
  readonly path: string
  readonly size: number
  readonly sha256: string
  #left = true

  constructor(path: string, size: number, sha256: string) {
    this.path = path
    this.size = size
    this.sha256 = sha256
  }

  used(): void {
    this.#left = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#left) await rm(this.path, { force: true })
    this.#left = false
  }
}

async function receive(
  file: FileHandle,
  source: AsyncIterable<Uint8Array>,
  { maxBytes, expectedBytes }: StageOptions,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  const collected = new Collected(file, Math.min(expectedBytes ?? WRITTEN_AT_ONCE, WRITTEN_AT_ONCE))
  let size = 0
  for await (const chunk of source) {
    size += chunk.length
    if (maxBytes > 0 && size > maxBytes) throw new Refused('too_large', `files may have ${maxBytes} bytes at most`)
    hash.update(chunk)
    await collected.add(chunk)
  }
  if (expectedBytes !== undefined && size !== expectedBytes) {
    throw new Refused('length_mismatch', `${expectedBytes} bytes were announced, ${size} came`)
  }
  await collected.flush()
  await file.datasync()
  return { size, sha256: hash.digest('hex') }
}

/** Bytes that are collected for one write: each one is a trip to another thread and back. */
const WRITTEN_AT_ONCE = 512 * 1024

/** Collects small chunks for few writes. Copied, because a chunk may change once the next one is asked for. */
class Collected {
  readonly #file: FileHandle
  readonly #buffer: Buffer
  #filled = 0

  constructor(file: FileHandle, size: number) {
    this.#file = file
    this.#buffer = Buffer.allocUnsafe(size)
  }

  async add(chunk: Uint8Array): Promise<void> {
    if (this.#filled + chunk.length > this.#buffer.length) await this.flush()
    if (chunk.length > this.#buffer.length) return await writeAll(this.#file, chunk)
    this.#buffer.set(chunk, this.#filled)
    this.#filled += chunk.length
  }

  async flush(): Promise<void> {
    const filled = this.#filled
    this.#filled = 0
    await writeAll(this.#file, this.#buffer.subarray(0, filled))
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten
  }
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
