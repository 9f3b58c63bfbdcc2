import { BufferPool } from '../lib/buffers.ts'
import { CallerGone } from '../lib/errors.ts'
import { asUnavailable } from './outage.ts'
import type { SharedFile } from './open-files.ts'

/**
 * Bytes at the end of a file that nobody gets before it is finished: who would then be refused has no use for the rest. Of a
 * file that has no more than these, nothing is sent before.
 */
export const HELD_BACK = 64 * 1024

/** Bytes from `start` to `end`, both included, counted from 0; without `end`, to the end of the file. */
export interface OpenEndedRange {
  readonly start: number
  readonly end?: number | undefined
}

/** The latest bytes of a file, and all that are not in it yet, from memory. */
export interface Recent {
  /** Where in the file they begin. What is before that is in the file. */
  readonly from: number
  /** Copies up to `length` bytes at `position` to the start of `buffer`, and gives how many: none where they are not in memory. */
  copy(buffer: Buffer, length: number, position: number): number
}

/** What a datastore tells a growing file while it receives it. */
export interface Growth {
  /** Here it is, with nothing in it yet; to be retired when nobody reads it any more. */
  began(file: SharedFile, recent: Recent): void
  /** So many bytes of it, from its beginning, can be read by now. */
  grew(bytes: number): void
  /** All of them are in the file, and nothing is in memory any more. */
  forget(): void
  /** There are no further bytes than those. */
  received(): void
}

/**
 * A file that others read while it is received (`StageOptions.growing`): from the disk, each at its own pace. It is opened once,
 * to be written and read, and stays readable when it is moved, or deleted, as long as somebody reads it.
 *
 * Whoever receives it says how that ended: `finish` once it is stored, recorded and allowed, or `fail`. Until then the last
 * `HELD_BACK` bytes are kept back, so that no answer is complete that should not have been given. Disposing of one that is
 * neither fails it.
 */
export class GrowingFile implements Disposable, Growth {
  #size: number | undefined
  #atLeast = 0
  readonly #waiting = new Set<() => void>()
  #file: SharedFile | undefined
  #recent: Recent | undefined
  #readers = 0
  #here = 0
  #state: 'receiving' | 'received' | 'finished' | 'failed' = 'receiving'
  #error: unknown

  /** `size`: as for `announce`, where it is known by now. */
  constructor(size?: number) {
    this.#size = size
  }

  /** How many bytes were announced, if that is known. Receiving another number fails. */
  get size(): number | undefined {
    return this.#size
  }

  /**
   * Says how many bytes there are going to be, if anybody has; where that is not known, how many there are at least, so that fewer
   * of them have to be taken for the last ones. Not to be called any more once somebody reads.
   */
  announce(size: number | undefined, atLeast = 0): void {
    this.#size = size
    this.#atLeast = atLeast
  }

  /**
   * A reader, as soon as first bytes can be read; undefined once the file is finished, and can be had from where it was stored:
   * so it is with every small one. Throws what the file failed with, and `CallerGone` when `signal` is aborted.
   */
  async join(signal?: AbortSignal): Promise<GrowingReader | undefined> {
    this.#readers++
    using reader = new DisposableStack()
    reader.defer(() => this.#leave())
    await this.readableUpTo(0, signal)
    if (this.#state === 'finished') return undefined
    const held = reader.move()
    return new GrowingReader(this, () => held.dispose())
  }

  /** The file is stored, and whoever reads it may have all of it. Nothing if it has failed. */
  finish(): void {
    if (this.#isSettled) return
    if (this.#state === 'receiving') throw new TypeError('a file was finished before it was received')
    this.#settle('finished')
  }

  /** The file does not come: everybody who reads it gets this error, and no complete answer. Nothing if it is finished. */
  fail(error: unknown): void {
    if (this.#isSettled) return
    this.#error = error
    this.#settle('failed')
  }

  [Symbol.dispose](): void {
    this.fail(new Error('a file that others read was given up before it was stored'))
  }

  /** It does not come: whoever asks now had better begin anew. */
  get hasFailed(): boolean {
    return this.#state === 'failed'
  }

  /** Whether somebody waits for bytes. */
  get isHungry(): boolean {
    return this.#waiting.size > 0
  }

  began(file: SharedFile, recent: Recent): void {
    this.#file = file
    this.#recent = recent
    this.#closeIfUnused()
  }

  grew(bytes: number): void {
    const before = this.#readable
    this.#here = bytes
    if (this.#readable > before) this.#wake()
  }

  forget(): void {
    this.#recent = undefined
  }

  received(): void {
    if (this.#state === 'receiving') this.#state = 'received'
  }

  /**
   * How many bytes, from the beginning, may be read: more than `position`, unless the file is finished. Waits for them.
   * For readers.
   */
  async readableUpTo(position: number, signal?: AbortSignal): Promise<number> {
    for (;;) {
      if (this.#state === 'failed') throw this.#error
      if (signal?.aborted) throw new CallerGone('the caller left while a file was received', { cause: signal.reason })
      if (this.#readable > position || this.#state === 'finished') return this.#readable
      await this.#change(signal)
    }
  }

  /** Fills `buffer` with up to `length` bytes from `position`, and gives how many there were. For readers. */
  async readAt(buffer: Buffer, length: number, position: number): Promise<number> {
    // A way to another thread and back costs more than a copy.
    const copied = this.#recent?.copy(buffer, length, position) ?? 0
    if (copied > 0) return copied
    const wanted = Math.min(length, (this.#recent?.from ?? Infinity) - position)
    const bytes = await this.#file?.read(buffer, wanted, position).catch((error: unknown) => {
      throw asUnavailable(error)
    })
    if (!bytes) throw new Error(`the file ended at ${position}, before ${position + length}: it was cut`)
    return bytes
  }

  get #readable(): number {
    if (this.#state === 'finished') return this.#here
    if (this.size !== undefined) return Math.min(this.#here, Math.max(0, this.size - HELD_BACK))
    return Math.max(0, this.#here - HELD_BACK, Math.min(this.#here, this.#atLeast - HELD_BACK))
  }

  get #isSettled(): boolean {
    return this.#state === 'finished' || this.#state === 'failed'
  }

  #settle(state: 'finished' | 'failed'): void {
    this.#state = state
    this.#wake()
    this.#closeIfUnused()
  }

  /** Resolves at the next change, or when `signal` is aborted. */
  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  #leave(): void {
    this.#readers--
    this.#closeIfUnused()
  }

  #closeIfUnused(): void {
    if (!this.#isSettled || this.#readers > 0) return
    this.#file?.retire()
    this.#file = undefined
    this.#recent = undefined
  }
}

const CHUNK = 256 * 1024
/** Enough for a few dozen readers at once; what is above that is collected as garbage. */
const chunks = new BufferPool(CHUNK, 32)

/** One reader of a growing file. Dispose of it when done, in whatever way, but not while it reads. */
export class GrowingReader implements Disposable {
  /** How many bytes the whole file is going to have, if that was announced. */
  readonly size: number | undefined
  readonly #file: GrowingFile
  readonly #leave: () => void

  constructor(file: GrowingFile, leave: () => void) {
    this.size = file.size
    this.#file = file
    this.#leave = leave
  }

  /** Resolves when the byte at `position` can be read, or never will be, because the file is finished and ends before. */
  async reaches(position: number, signal?: AbortSignal): Promise<void> {
    await this.#file.readableUpTo(position, signal)
  }

  /**
   * The bytes of `part`, or all, as they come, in order; they end early where the file does. A chunk is only valid until the next
   * one is asked for. Throws what the file failed with, and `CallerGone` when `signal` is aborted.
   */
  async *read(
    { start, end = Infinity }: OpenEndedRange = { start: 0 },
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    for (let position = start; position <= end;) {
      const readable = await this.#file.readableUpTo(position, signal)
      const wanted = Math.min(CHUNK, readable - position, end - position + 1)
      if (wanted <= 0) return
      // Whoever waits holds none.
      const buffer = chunks.take()
      const bytes = await this.#file.readAt(buffer, wanted, position)
      position += bytes
      yield buffer.subarray(0, bytes)
      // Not given back by who stops early: the last chunk may be on its way still.
      chunks.giveBack(buffer)
    }
  }

  [Symbol.dispose](): void {
    this.#leave()
  }
}
