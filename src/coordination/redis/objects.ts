import { hash } from 'node:crypto'
import type { RedisRing } from './ring.ts'

const PUTS_AT_A_TIME = 32

export interface RedisObjectsOptions {
  /** How long an object is kept, in seconds. */
  readonly ttlSeconds: number
  /** Objects of more bytes are not kept; 0: none is. */
  readonly maxBytes: number
}

export interface RedisObjectsParts {
  readonly ring: RedisRing
  readonly options: () => RedisObjectsOptions
  /** Redis gave something else than was put there. */
  readonly onWrong: (key: string) => void
}

/**
 * Small objects in Redis, by the hash of their content, for all instances (and repositories: a hash means the same
 * everywhere, and who may have an object is decided before, by its record). What is found is believed only if it has that
 * hash. Nothing here ever fails: without Redis nothing is found and nothing kept.
 */
export class RedisObjects {
  readonly #parts: RedisObjectsParts
  #putting = 0

  constructor(parts: RedisObjectsParts) {
    this.#parts = parts
  }

  /** Whether an object of `size` bytes would be kept here, by a server that is there. */
  takes(size: number): boolean {
    return this.#parts.ring.isUp && size <= this.#parts.options().maxBytes
  }

  /** The bytes whose SHA-256 (lower-case hex) is `sha256`, if they are there. Costs a quarter of a second at most. */
  async get(sha256: string): Promise<Buffer | undefined> {
    const key = keyOf(sha256)
    const redis = this.#parts.ring.for(key)
    if (!redis) return undefined
    try {
      const found = await redis.command('GET', key)
      if (found === null) return undefined
      if (Buffer.isBuffer(found) && hash('sha256', found) === sha256) return found
      this.#parts.onWrong(key)
      await redis.command('DEL', key)
    } catch {
      // The connection has said what is wrong with it. A refusal (wrong type, not allowed) means that it is not there.
    }
    return undefined
  }

  /** Keeps the bytes for a while, unless they are too large. One SET: nobody ever reads a part (MMR appends piece by piece). */
  async put(sha256: string, bytes: Buffer): Promise<void> {
    const { ttlSeconds } = this.#parts.options()
    const key = keyOf(sha256)
    const redis = this.#parts.ring.for(key)
    // What a server that hangs is given waits in memory until it is given up.
    if (!redis || !this.takes(bytes.length) || this.#putting >= PUTS_AT_A_TIME) return
    this.#putting++
    try {
      await redis.command('SET', key, bytes, 'PX', String(ttlSeconds * 1000))
    } catch {
      // As in `get`; also Redis without memory left.
    } finally {
      this.#putting--
    }
  }

  /** Deletes objects, as far as Redis can be reached; `all` are left to their time: nobody is given one by its hash alone. */
  drop(sha256s: readonly string[] | 'all'): void {
    if (sha256s === 'all') return
    for (const key of sha256s.map(keyOf)) {
      this.#parts.ring
        .for(key)
        ?.command('DEL', key)
        // As in `get`.
        .catch(() => {})
    }
  }
}

function keyOf(sha256: string): string {
  return `cellarium:object:${sha256}`
}
