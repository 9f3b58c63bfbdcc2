import { type FileHandle, open } from 'node:fs/promises'
import { BufferPool } from '../lib/buffers.ts'
import type { Growth } from './growing-file.ts'
import { closeLater, type NewFile, writeAll } from './new-file.ts'
import { SharedFile } from './open-files.ts'

/** Bytes that are collected for one write at the most, while nobody waits for them. */
const WRITTEN_AT_ONCE = 256 * 1024
const buffers = new BufferPool(WRITTEN_AT_ONCE, 32)

/**
 * Makes the file at `path`, which must not exist, to be read while it is written. It goes through the page cache, whatever its
 * size: that is where its readers have it from.
 */
export async function createWatchedFile(
  path: string,
  growth: Growth,
  { synced }: { readonly synced: boolean },
): Promise<NewFile> {
  const file = await open(path, 'wx+', synced ? 0o640 : 0o600)
  const shared = new SharedFile(file.fd, 0, () => closeLater(file))
  shared.users++
  const watched = new WatchedFile(file, growth, { synced, closed: () => shared.release() })
  growth.began(shared, () => watched.hurry())
  return watched
}

interface WatchedFileOptions {
  readonly synced: boolean
  /** Called when nothing is going to be written any more. Its readers may still have use for it. */
  readonly closed: () => void
}

/**
 * Writes from one buffer, from which those who keep up read too, while the next one fills. One is written when it is full, and
 * sooner when somebody waits: then the writes are as large as what came in during the one before.
 */
class WatchedFile implements NewFile {
  readonly #file: FileHandle
  readonly #growth: Growth
  readonly #options: WatchedFileOptions
  #filling = buffers.take()
  #other = buffers.take()
  #filled = 0
  /** How many bytes have been written, or are being written. */
  #begun = 0
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #closed = false

  constructor(file: FileHandle, growth: Growth, options: WatchedFileOptions) {
    this.#file = file
    this.#growth = growth
    this.#options = options
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.length;) {
      if (this.#filled === this.#filling.length) await this.#makeRoom()
      const some = chunk.subarray(from, from + this.#filling.length - this.#filled)
      this.#filling.set(some, this.#filled)
      this.#filled += some.length
      from += some.length
    }
    this.#throwFailure()
    if (this.#growth.isHungry) this.hurry()
  }

  async finish(): Promise<void> {
    while (this.#filled > 0 || this.#writing) await this.#makeRoom()
    this.#throwFailure()
    if (this.#options.synced) await this.#file.datasync()
  }

  /** What is being written still needs its buffer and its file. */
  close(): void {
    this.#closed = true
    void this.#closeWhenWritten()
  }

  async #closeWhenWritten(): Promise<void> {
    await this.#writing
    this.#growth.forget()
    buffers.giveBack(this.#filling)
    buffers.giveBack(this.#other)
    this.#options.closed()
  }

  /** Somebody waits: writes what there is, unless something is being written. */
  hurry(): void {
    if (this.#writing || this.#filled === 0 || this.#failure || this.#closed) return
    const bytes = this.#filling.subarray(0, this.#filled)
    ;[this.#filling, this.#other] = [this.#other, this.#filling]
    this.#filled = 0
    this.#writing = this.#writeOut(bytes)
    this.#begun += bytes.length
    this.#growth.grew(this.#begun, bytes)
  }

  async #makeRoom(): Promise<void> {
    await this.#writing
    this.#throwFailure()
    this.hurry()
  }

  /** Never rejects: a failure is for the next call to throw. */
  async #writeOut(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#file, bytes)
    } catch (error) {
      this.#failure = { error }
    }
    this.#writing = undefined
    if (this.#growth.isHungry) this.hurry()
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
