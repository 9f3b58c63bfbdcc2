import { type FileHandle, open } from 'node:fs/promises'
import { BufferPool } from '../lib/buffers.ts'
import type { Growth, Recent } from './growing-file.ts'
import { closeLater, type NewFile, writeAll } from './new-file.ts'
import { SharedFile } from './open-files.ts'

/** Bytes that are collected for one write. */
const WRITTEN_AT_ONCE = 256 * 1024
const buffers = new BufferPool(WRITTEN_AT_ONCE, 32)

/**
 * Makes the file at `path`, which must not exist, to be read while it is written. It goes through the page cache, whatever its
 * size: that is where readers who do not keep up have it from.
 */
export async function createWatchedFile(
  path: string,
  growth: Growth,
  { passing }: { readonly passing: boolean },
): Promise<NewFile> {
  const file = await open(path, 'wx+', passing ? 0o600 : 0o640)
  const shared = new SharedFile(file.fd, 0, () => closeLater(file))
  shared.users++
  const watched = new WatchedFile(file, growth, () => shared.release())
  growth.began(shared, watched)
  return watched
}

/**
 * Fills one buffer while the one before is written. Both can be read all the time: what is not in the file yet is always in
 * memory, so nobody waits for a write, and whoever keeps up never asks the file.
 */
class WatchedFile implements NewFile, Recent {
  readonly #file: FileHandle
  readonly #growth: Growth
  readonly #closed: () => void
  /** Absent until something comes: many wait for servers that do not answer. */
  #filling: Buffer | undefined
  #filled = 0
  /** What is being written, or was last. */
  #before: Buffer | undefined
  /** How many bytes of the file came before those of `#before`, and before those of `#filling`. */
  #beforeFrom = 0
  #fillingFrom = 0
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  /** `closed` is called when we have no use for the file any more. Its readers may still have. */
  constructor(file: FileHandle, growth: Growth, closed: () => void) {
    this.#file = file
    this.#growth = growth
    this.#closed = closed
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.length;) {
      if (this.#filled === WRITTEN_AT_ONCE) await this.#turnOver()
      this.#filling ??= buffers.take()
      const some = chunk.subarray(from, from + WRITTEN_AT_ONCE - this.#filled)
      this.#filling.set(some, this.#filled)
      this.#filled += some.length
      from += some.length
    }
    this.#throwFailure()
    this.#growth.grew(this.#fillingFrom + this.#filled)
  }

  async finish(): Promise<void> {
    if (this.#filled > 0) await this.#turnOver()
    await this.#writing
    this.#throwFailure()
    this.#letGo()
  }

  sync(): Promise<void> {
    return this.#file.datasync()
  }

  get from(): number {
    return this.#beforeFrom
  }

  copy(buffer: Buffer, length: number, position: number): number {
    if (position < this.#beforeFrom) return 0
    const isBefore = position < this.#fillingFrom
    const from = isBefore ? this.#beforeFrom : this.#fillingFrom
    const end = isBefore ? this.#fillingFrom - from : this.#filled
    const source = isBefore ? this.#before : this.#filling
    return source?.copy(buffer, 0, position - from, Math.min(end, position - from + length)) ?? 0
  }

  /** What is being written still needs its buffer and its file. */
  close(): void {
    void this.#closeWhenWritten()
  }

  async #closeWhenWritten(): Promise<void> {
    await this.#writing
    // Of a file that broke off, readers may go on with what is in memory only, until they are told.
    if (this.#filled === 0 && !this.#failure) this.#letGo()
    this.#closed()
  }

  #letGo(): void {
    this.#growth.forget()
    for (const buffer of [this.#filling, this.#before]) if (buffer) buffers.giveBack(buffer)
    this.#filling = undefined
    this.#before = undefined
  }

  /** Begins to write what has been collected, once what was before is in the file; goes on in the other buffer. */
  async #turnOver(): Promise<void> {
    await this.#writing
    this.#throwFailure()
    const bytes = this.#filling?.subarray(0, this.#filled)
    if (!bytes) return
    ;[this.#filling, this.#before] = [this.#before, this.#filling]
    this.#beforeFrom = this.#fillingFrom
    this.#fillingFrom += bytes.length
    this.#filled = 0
    this.#writing = this.#writeOut(bytes)
  }

  /** Never rejects: a failure is for the next call to throw. */
  async #writeOut(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#file, bytes)
    } catch (error) {
      this.#failure = { error }
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
