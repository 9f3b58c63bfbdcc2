import type { Database } from '../db/connect.ts'
import { touchMedia } from '../db/media.ts'
import { type ThumbnailKey, touchThumbnails } from '../db/thumbnails.ts'
import type { Clock } from '../lib/clock.ts'
import { lastUsed } from '../lib/last-used.ts'
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

interface ReadsParts {
  readonly db: Pick<Database, 'write'>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Notes when media and thumbnails were last read, and writes that down in batches: a write for each read would make every
 * download wait for the disk.
 */
export class Reads implements AsyncDisposable {
  readonly #parts: ReadsParts
  readonly #timer: NodeJS.Timeout
  #media = new Map<string, { readonly origin: string; readonly mediaId: string; readonly at: number }>()
  /** When those were last noted that are read all the time: records that are kept in memory do not tell. */
  readonly #noted = lastUsed<number>(KEPT_AT_MOST)
  #thumbnails = new Map<string, ThumbnailKey & { readonly at: number }>()

  constructor(parts: ReadsParts) {
    this.#parts = parts
    this.#timer = setInterval(() => void this.flush(), WRITE_EVERY_MS).unref()
  }

  note({ origin, mediaId, accessedAt }: ReadMedia): void {
    const name = `${origin}/${mediaId}`
    const at = this.#timeIfNews(name, accessedAt)
    if (at !== undefined && this.#media.size < KEPT_AT_MOST) this.#media.set(name, { origin, mediaId, at })
  }

  /** `usedAt`: when it was last used as far as its record says, in ms since 1970. */
  noteThumbnail(key: ThumbnailKey, usedAt: number): void {
    const { sourceSha256, width, height, method, variant } = key
    const name = `${sourceSha256} ${width}x${height} ${method} ${variant}`
    const at = this.#timeIfNews(name, usedAt)
    if (at === undefined || this.#thumbnails.size >= KEPT_AT_MOST) return
    this.#thumbnails.set(name, { sourceSha256, width, height, method, variant, at })
  }

  /** The time, if something was not read for long as far as `before` and we know. */
  #timeIfNews(name: string, before: number | null): number | undefined {
    const at = this.#parts.clock.now()
    const last = Math.max(before ?? -Infinity, this.#noted.get(name) ?? -Infinity)
    if (at - last < EXACT_TO_MS) return undefined
    this.#noted.set(name, at)
    return at
  }

  /** Writes down what was noted. A failure costs some times of access, and is only logged. */
  async flush(): Promise<void> {
    const [media, thumbnails] = [[...this.#media.values()], [...this.#thumbnails.values()]]
    this.#media = new Map()
    this.#thumbnails = new Map()
    try {
      if (media.length > 0) await this.#parts.db.write(touchMedia, media)
      if (thumbnails.length > 0) await this.#parts.db.write(touchThumbnails, thumbnails)
    } catch (error) {
      this.#noted.clear()
      const count = media.length + thumbnails.length
      this.#parts.log.warn({ err: error, count }, 'could not note when media were last read')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
  }
}
