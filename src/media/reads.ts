import type { Database } from '../db/connect.ts'
import { touchMedia } from '../db/media.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'

const WRITE_EVERY_MS = 10_000
const KEPT_AT_MOST = 10_000
/** Times of last access serve for expiry in days: an hour is exact enough, and saves hot media their writes. */
const EXACT_TO_MS = 3_600_000

interface ReadMedia {
  readonly origin: string
  readonly mediaId: string
  readonly accessedAt: number | null
}

/**
 * Notes when media were last read, and writes that down in batches: a write for each read would make every download wait for
 * the disk.
 */
export class Reads implements AsyncDisposable {
  readonly #parts: { readonly db: Pick<Database, 'write'>; readonly clock: Clock; readonly log: Log }
  readonly #timer: NodeJS.Timeout
  #noted = new Map<string, { readonly origin: string; readonly mediaId: string; readonly at: number }>()

  constructor(parts: { readonly db: Pick<Database, 'write'>; readonly clock: Clock; readonly log: Log }) {
    this.#parts = parts
    this.#timer = setInterval(() => void this.flush(), WRITE_EVERY_MS).unref()
  }

  note({ origin, mediaId, accessedAt }: ReadMedia): void {
    const at = this.#parts.clock.now()
    if (accessedAt !== null && at - accessedAt < EXACT_TO_MS) return
    if (this.#noted.size < KEPT_AT_MOST) this.#noted.set(`${origin}/${mediaId}`, { origin, mediaId, at })
  }

  /** Writes down what was noted. A failure costs some times of access, and is only logged. */
  async flush(): Promise<void> {
    if (this.#noted.size === 0) return
    const reads = [...this.#noted.values()]
    this.#noted = new Map()
    try {
      await this.#parts.db.write(touchMedia, reads)
    } catch (error) {
      this.#parts.log.warn({ err: error, count: reads.length }, 'could not note when media were last read')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
  }
}
