import { createHash, randomUUID } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { lastUsed } from '../lib/last-used.ts'
import type { Log } from '../lib/log.ts'
import { noEntrySign } from './no-entry.ts'
import type { ThumbnailPool } from './pool.ts'
import type { ThumbnailSize } from './sizes.ts'

export interface Picture {
  readonly bytes: Buffer
  readonly contentType: string
  /** Hex SHA-256 of the bytes. */
  readonly sha256: string
}

export interface PlaceholderParts {
  readonly thumbnailPool: Pick<ThumbnailPool, 'generate'>
  /** Folder for thumbnails of administrators' own pictures, on their way into memory. */
  readonly scratch: string
  readonly log: Log
}

/** What an administrator's own picture may be. */
const ownTypes = ['image/png', 'image/apng', 'image/jpeg', 'image/gif', 'image/webp']
const ownBytesAtMost = 10 * 1024 ** 2
const ownPixelsAtMost = 50_000_000
/** Our own drawing, in pixels: the side of the whole one, which is the largest. */
const drawnSide = 512
const keptAtMost = 50

/**
 * The pictures that are sent in place of quarantined media: the administrator's (`quarantine.thumbnailPath`), which may
 * be exchanged at any time, or a sign that is drawn here. Those asked for last are kept in memory.
 */
export class Placeholders {
  readonly #parts: PlaceholderParts
  readonly #kept = lastUsed<Promise<Picture>>(keptAtMost)
  /** Paths that cannot be used, so that the log says it once. */
  readonly #broken = new Set<string>()

  constructor(parts: PlaceholderParts) {
    this.#parts = parts
  }

  /**
   * The placeholder in its own size, or at most `size` large. `ownPath` is the administrator's picture, empty for none; one
   * that cannot be used is told in the log, and the drawn one takes its place.
   */
  async get(ownPath: string, size: ThumbnailSize | undefined): Promise<Picture> {
    if (ownPath === '') return await this.#drawn(size)
    try {
      const picture = await this.#own(ownPath, size)
      this.#broken.delete(ownPath)
      return picture
    } catch (error) {
      if (!this.#broken.has(ownPath)) {
        this.#broken.add(ownPath)
        this.#parts.log.error({ err: error, path: ownPath }, 'quarantine.thumbnailPath cannot be used')
      }
      return await this.#drawn(size)
    }
  }

  #drawn(size: ThumbnailSize | undefined): Promise<Picture> {
    const side = size ? Math.min(size.width, size.height, drawnSide) : drawnSide
    return this.#once(String(side), async () => pictureOf(noEntrySign(side), 'image/png'))
  }

  async #own(path: string, size: ThumbnailSize | undefined): Promise<Picture> {
    const file = resolve(path)
    const { mtimeMs, size: bytes } = await stat(file)
    const shape = size ? `${size.width}x${size.height} ${size.method}` : 'whole'
    const key = `${file} ${mtimeMs} ${bytes} ${shape}`
    return await this.#once(key, () => (size ? this.#smaller(file, size) : whole(file)))
  }

  async #smaller(source: string, size: ThumbnailSize): Promise<Picture> {
    const target = join(this.#parts.scratch, randomUUID())
    await using cleanUp = new AsyncDisposableStack()
    cleanUp.defer(() => rm(target, { force: true }))
    const limits = { maxSourceBytes: ownBytesAtMost, maxPixels: ownPixelsAtMost }
    const job = { source, target, ...size, limits, types: ownTypes, stillFrame: 0 }
    const { kind, contentType } = await this.#parts.thumbnailPool.generate(job, forEverybody())
    return kind === 'original' ? await whole(source) : pictureOf(await readFile(target), contentType)
  }

  /** Kept, unless it fails: whoever asks next tries again. */
  #once(key: string, make: () => Promise<Picture>): Promise<Picture> {
    const kept = this.#kept.get(key)
    if (kept) return kept
    const made = make()
    this.#kept.set(key, made)
    made.catch(() => this.#kept.delete(key))
    return made
  }
}

/** One caller's leaving must not take the picture from the others who wait for it. */
const forEverybody = () => new AbortController().signal

async function whole(path: string): Promise<Picture> {
  const { size } = await stat(path)
  if (size > ownBytesAtMost) throw new Error(`${path} has ${size} bytes; a placeholder may have ${ownBytesAtMost}`)
  const bytes = await readFile(path)
  const { fileTypeFromBuffer } = await import('file-type')
  const type = await fileTypeFromBuffer(bytes)
  if (!type || !ownTypes.includes(type.mime)) {
    throw new Error(`${path} is ${type?.mime ?? 'of no known type'}; a placeholder is one of ${ownTypes.join(', ')}`)
  }
  return pictureOf(bytes, type.mime)
}

function pictureOf(bytes: Buffer, contentType: string): Picture {
  return { bytes, contentType, sha256: createHash('sha256').update(bytes).digest('hex') }
}
