import type { GrowingFile } from '../datastores/growing-file.ts'
import type { MediaRecord } from '../db/media.ts'
import { CallerGone, Refused } from '../lib/errors.ts'
import { waitFor } from '../lib/shared-work.ts'

/** A file of another server that is still on its way here. */
export interface ArrivingFile {
  readonly contentType: string
  readonly fileName: string | null
  readonly growing: GrowingFile
}

/** A file of another server, as soon as something can be done with it. */
export type Fetched =
  | { readonly kind: 'stored'; readonly record: MediaRecord }
  /** On its way: to be read as it grows, or to be had from where it is stored in the end. */
  | { readonly kind: 'arriving'; readonly file: ArrivingFile; readonly stored: Promise<MediaRecord> }

/** What is said by whoever fetches, to those who wait. */
export interface FetchProgress {
  /** Somebody may have got a part of it: what is fetched anew cannot be put behind that. */
  readonly hasBegun: boolean
  /** The file is on its way, here or to another instance: from now on it comes when it comes. */
  answered(): void
  /** It can be read as it grows. */
  arrives(file: ArrivingFile): void
  /** So much of it has come: 0 to 1. */
  got(share: number): void
  /** It is stored. What is left of the work holds up nobody. */
  stored(record: MediaRecord): void
}

/** With this much of a file here, it is received to its end even if everybody leaves: somebody will ask again. */
const WORTH_ENDING = 0.5

/**
 * A fetch under way and those who wait for it. Whoever leaves only stops waiting; when the last one has left, the fetch is
 * stopped, unless most of the file is here. Whoever has got an answer, if only that it takes too long, has not left.
 */
export class SharedFetch implements FetchProgress {
  /** Resolves when nothing is being done any more. */
  readonly ended: Promise<void>
  readonly #stop = new AbortController()
  readonly #answered = Promise.withResolvers<void>()
  readonly #first = Promise.withResolvers<Fetched>()
  readonly #stored = Promise.withResolvers<MediaRecord>()
  #growing: GrowingFile | undefined
  #waiting = 0
  #share = 0

  /** `work` ends when its signal aborts. */
  constructor(work: (progress: FetchProgress, signal: AbortSignal) => Promise<void>) {
    for (const { promise } of [this.#first, this.#stored]) promise.catch(() => {})
    this.ended = work(this, this.#stop.signal).catch((error: unknown) => this.#fail(error))
  }

  get hasBegun(): boolean {
    return this.#growing !== undefined
  }

  /** Everybody has left, or the file has broken off: it is not worth joining any more. */
  get isStopped(): boolean {
    return this.#stop.signal.aborted || this.#growing?.hasFailed === true
  }

  /**
   * The file, or its beginning. Gives up with `not_yet_uploaded` when nothing was heard of it for `patienceMs`.
   *
   * @throws what the fetch failed with
   * @throws {CallerGone} once `signal` aborts
   */
  async join(signal: AbortSignal, patienceMs: number): Promise<Fetched> {
    this.#count(signal)
    const late = Promise.withResolvers<never>()
    const giveUp = () => late.reject(new Refused('not_yet_uploaded', 'the remote server has not sent the file in time'))
    const timer = setTimeout(giveUp, Math.max(0, patienceMs))
    try {
      await waitFor(Promise.race([this.#answered.promise, late.promise]), signal)
    } finally {
      clearTimeout(timer)
    }
    return await waitFor(this.#first.promise, signal)
  }

  answered(): void {
    this.#answered.resolve()
  }

  arrives(file: ArrivingFile): void {
    this.#growing = file.growing
    this.#first.resolve({ kind: 'arriving', file, stored: this.#stored.promise })
    this.answered()
  }

  got(share: number): void {
    this.#share = share
  }

  stored(record: MediaRecord): void {
    this.#stored.resolve(record)
    this.#first.resolve({ kind: 'stored', record })
    this.answered()
  }

  #fail(error: unknown): void {
    this.#stored.reject(error)
    this.#first.reject(error)
    this.answered()
  }

  #count(signal: AbortSignal): void {
    this.#waiting++
    const leave = () => {
      this.#waiting--
      if (this.#waiting > 0 || this.#share >= WORTH_ENDING) return
      this.#stop.abort(new CallerGone('everybody who wanted this file has left'))
    }
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    void this.ended.then(() => signal.removeEventListener('abort', leave))
  }
}
