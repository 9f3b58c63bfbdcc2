import { hash } from 'node:crypto'
import type { RedisRing } from './ring.ts'

const CHUNK = 256 * 1024
const SHA256 = /^[0-9a-f]{64}$/

/** What one repository tells the others of a file that it has fetched from its origin. */
export interface RemoteFile {
  /** Lower-case hex. */
  readonly sha256: string
  /** Bytes. */
  readonly size: number
  readonly contentType: string
  readonly uploadName: string | null
  /** Only authenticated callers may have it. */
  readonly authenticated: boolean
}

export interface RemoteFilesOptions {
  /** How long a file is kept, in seconds. */
  readonly ttlSeconds: number
  /** Files of more bytes are not kept; 0: none is. */
  readonly maxBytes: number
}

/** A file that was found a moment ago cannot be read, or no longer. */
export class RemoteFileGone extends Error {
  override readonly name = 'RemoteFileGone'
}

export interface RemoteFilesParts {
  readonly ring: RedisRing
  readonly options: () => RemoteFilesOptions
}

/**
 * Files of other servers that one repository leaves in Redis for those that do not share its database. The bytes lie in
 * chunks, each on the server its own key belongs to; the description comes last, so that whoever finds it finds them.
 */
export class RemoteFiles {
  readonly #parts: RemoteFilesParts

  constructor(parts: RemoteFilesParts) {
    this.#parts = parts
  }

  /** Whether a file of `size` bytes may be left here. */
  takes(size: number): boolean {
    return size <= this.#parts.options().maxBytes
  }

  /**
   * What was left under an MXC URI, if it can be understood.
   *
   * @throws {RemoteFileGone} when Redis cannot be asked
   */
  async find(mxc: string): Promise<RemoteFile | undefined> {
    const key = descriptionKey(mxc)
    const found = await this.#get(key)
    return found && readDescription(found)
  }

  /**
   * The bytes of a file, chunk by chunk; nothing is held but one.
   *
   * @throws {RemoteFileGone} when one is not there, or has another length than it should
   */
  async *read({ sha256, size }: RemoteFile): AsyncIterable<Buffer> {
    for (const { key, length } of chunksOf(sha256, size)) {
      const chunk = await this.#get(key)
      if (chunk?.length !== length) throw new RemoteFileGone(`Redis has no ${key} of ${length} bytes`)
      yield chunk
    }
  }

  async #get(key: string): Promise<Buffer | undefined> {
    try {
      const found = await this.#parts.ring.for(key)?.command('GET', key)
      return Buffer.isBuffer(found) ? found : undefined
    } catch (error) {
      throw new RemoteFileGone(`Redis cannot be asked for ${key}`, { cause: error })
    }
  }

  /** Leaves a file for others. `readChunk` gives the bytes from `start` on, `length` of them. */
  async leave(
    mxc: string,
    file: RemoteFile,
    readChunk: (start: number, length: number) => Promise<Buffer>,
  ): Promise<void> {
    const ttlMs = this.#parts.options().ttlSeconds * 1000
    // The chunks outlive the description, so that who has just found it still finds them.
    for (const { key, start, length } of chunksOf(file.sha256, file.size)) {
      await this.#set(key, await readChunk(start, length), ttlMs * 2)
    }
    await this.#set(descriptionKey(mxc), Buffer.from(JSON.stringify(file)), ttlMs)
  }

  /** Takes back what was left under an MXC URI, as far as Redis can be reached. */
  async forget(mxc: string): Promise<void> {
    const key = descriptionKey(mxc)
    await this.#parts.ring.for(key)?.command('DEL', key)
  }

  async #set(key: string, value: Buffer, ttlMs: number): Promise<void> {
    const redis = this.#parts.ring.for(key)
    if (!redis) throw new Error('no Redis server is there')
    await redis.command('SET', key, value, 'PX', String(ttlMs))
  }
}

function* chunksOf(sha256: string, size: number) {
  for (let start = 0; start < size; start += CHUNK) {
    const length = Math.min(CHUNK, size - start)
    yield { key: `cellarium:chunk:${sha256}:${start / CHUNK}`, start, length }
  }
}

/** Hashed, since media ids may be long and have any characters. */
function descriptionKey(mxc: string): string {
  return `cellarium:remote:${hash('sha256', mxc)}`
}

function readDescription(text: Buffer): RemoteFile | undefined {
  try {
    const { sha256, size, contentType, uploadName, authenticated } = JSON.parse(text.toString()) as Partial<RemoteFile>
    if (typeof sha256 !== 'string' || !SHA256.test(sha256)) return undefined
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined
    if (typeof contentType !== 'string' || typeof authenticated !== 'boolean') return undefined
    if (typeof uploadName !== 'string' && uploadName !== null) return undefined
    return { sha256, size, contentType, uploadName, authenticated }
  } catch {
    return undefined
  }
}
