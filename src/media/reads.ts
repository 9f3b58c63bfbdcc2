import type { Notifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { touchMedia } from '../db/media.ts'
import { type PreviewRow, touchPreviews } from '../db/previews.ts'
import { type ThumbnailKey, touchThumbnails } from '../db/thumbnails.ts'
import type { Clock } from '../lib/clock.ts'
import { lastUsed } from '../lib/last-used.ts'
import type { Log } from '../lib/log.ts'

const WRITE_EVERY_MS = 10_000
const KEPT_AT_MOST = 10_000
/** Times of last access serve for expiry in days: an hour is exact enough, and saves hot media their writes. */
export const EXACT_TO_MS = 3_600_000

interface ReadMedia {
  readonly origin: string
  readonly mediaId: string
  readonly accessedAt: number | null
}

interface ReadsParts {
  readonly db: Pick<Database, 'write'>
  readonly notifier: Pick<Notifier, 'on'>
  readonly clock: Clock
  readonly log: Log
}

type Noted<Key> = Map<string, Key & { readonly at: number }>

interface Notes {
  readonly media: Noted<{ readonly origin: string; readonly mediaId: string }>
  readonly thumbnails: Noted<ThumbnailKey>
  readonly previews: Noted<PreviewRow>
}

/**
 * Notes when media, thumbnails and previews were last read, and writes that down in batches: a write for each read would make
 * every download wait for the disk. Whoever removes what nobody reads asks all instances to write it down first (`settleReads`).
 */
export class Reads implements AsyncDisposable {
  readonly #parts: ReadsParts
  readonly #timer: NodeJS.Timeout
  readonly #off: () => void
  /** When those were last noted that are read all the time: records that are kept in memory do not tell. */
  readonly #noted = lastUsed<number>(KEPT_AT_MOST)
  #notes: Notes = noNotes()
  #writing: Promise<void> = Promise.resolve()

  constructor(parts: ReadsParts) {
    this.#parts = parts
    this.#timer = setInterval(() => void this.flush(), WRITE_EVERY_MS).unref()
    this.#off = parts.notifier.on('reads', () => this.flush())
  }

  note({ origin, mediaId, accessedAt }: ReadMedia): void {
    if (this.#isRecent(accessedAt)) return
    this.#note(this.#notes.media, `${origin}/${mediaId}`, { origin, mediaId })
  }

  /** `usedAt`: when it was last used as far as its record says, in ms since 1970. */
  noteThumbnail(
    sourceSha256: string,
    { width, height, method }: Pick<ThumbnailKey, 'width' | 'height' | 'method'>,
    { variant, usedAt }: { readonly variant: string; readonly usedAt: number },
  ): void {
    if (this.#isRecent(usedAt)) return
    const key = { sourceSha256, width, height, method, variant }
    this.#note(this.#notes.thumbnails, `${sourceSha256} ${width}x${height} ${method} ${variant}`, key)
  }

  notePreview({ homeserver, urlHash, language, hour }: PreviewRow, usedAt: number): void {
    if (this.#isRecent(usedAt)) return
    const key = { homeserver, urlHash, language, hour }
    this.#note(this.#notes.previews, `${homeserver} ${urlHash} ${language} ${hour}`, key)
  }

  #isRecent(usedAt: number | null | undefined): boolean {
    return typeof usedAt === 'number' && this.#parts.clock.now() - usedAt < EXACT_TO_MS
  }

  /** Notes a read, if for long there was none that we know of. */
  #note<Key>(notes: Noted<Key>, name: string, key: Key): void {
    const at = this.#parts.clock.now()
    if (this.#isRecent(this.#noted.get(name))) return
    // Not noted as written, so that the next read is: the database is away, or many thousands are read at once.
    if (notes.size >= KEPT_AT_MOST) return
    this.#noted.set(name, at)
    notes.set(name, { ...key, at })
    if (notes.size === KEPT_AT_MOST) void this.flush()
  }

  /** Writes down what was noted. What cannot be written stays noted; that is only logged. */
  async flush(): Promise<void> {
    // One after the other: whoever asks is also told of what was being written.
    this.#writing = this.#writing.then(() => this.#write())
    await this.#writing
  }

  async #write(): Promise<void> {
    const notes = this.#notes
    this.#notes = noNotes()
    const { media, thumbnails, previews } = notes
    const count = media.size + thumbnails.size + previews.size
    if (count === 0) return
    const { db, log } = this.#parts
    try {
      if (media.size > 0) await db.write(touchMedia, [...media.values()])
      if (thumbnails.size > 0) await db.write(touchThumbnails, [...thumbnails.values()])
      if (previews.size > 0) await db.write(touchPreviews, [...previews.values()])
    } catch (error) {
      this.#putBack(notes)
      log.warn({ err: error, count }, 'could not write down when media were last read; it is tried again')
    }
  }

  #putBack(before: Notes): void {
    const { media, thumbnails, previews } = this.#notes
    this.#notes = {
      media: new Map([...before.media, ...media]),
      thumbnails: new Map([...before.thumbnails, ...thumbnails]),
      previews: new Map([...before.previews, ...previews]),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#off()
    await this.flush()
  }
}

const noNotes = (): Notes => ({ media: new Map(), thumbnails: new Map(), previews: new Map() })

/**
 * Resolves once every instance has written down when media were read that it has noted until now. Times of last access in the
 * database are then right to `EXACT_TO_MS`.
 *
 * @throws when other instances cannot be asked
 */
export async function settleReads(notifier: Pick<Notifier, 'announce'>): Promise<void> {
  await notifier.announce('reads', '')
}
