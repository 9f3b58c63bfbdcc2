import type { ByteRange, OpenObject } from './datastore.ts'

/** `downloads.cache` of the configuration. */
export interface CacheOptions {
  readonly enabled: boolean
  /** Bytes in all, and of the largest object. */
  readonly maxSizeBytes: number
  readonly maxFileSizeBytes: number
  /** Kept from so many requests on, within so many minutes. */
  readonly minDownloads: number
  readonly trackedMinutes: number
  /** Makes room for others only after so long, and then stays out for so long. */
  readonly minCacheTimeSeconds: number
  readonly minEvictedTimeSeconds: number
}

/** Requests for an object that is not kept. */
interface Asked {
  count: number
  /** When the first of them came, in ms. */
  since: number
  /** Not to be kept before, in ms. */
  outUntil: number
}

interface Kept {
  readonly object: OpenObject
  readonly size: number
  readonly since: number
}

const TRACKED_AT_MOST = 20_000

/** Which objects are worth their memory, and their bytes: those that are asked for again, up to a limit, the latest used. */
export class ObjectMemory {
  #options: CacheOptions
  /** Both in order: what was used, or first asked for, longest ago comes first. */
  readonly #kept = new Map<string, Kept>()
  readonly #asked = new Map<string, Asked>()
  #bytes = 0

  constructor(options: CacheOptions) {
    this.#options = options
  }

  /** Bytes that are kept now. */
  get bytes(): number {
    return this.#bytes
  }

  /** Follows changed options at once. */
  configure(options: CacheOptions): void {
    this.#options = options
    const fits = ({ size }: Kept) => options.enabled && size <= options.maxFileSizeBytes
    for (const [sha256, kept] of this.#kept) {
      if (!fits(kept) || this.#bytes > options.maxSizeBytes) this.drop(sha256)
    }
  }

  /** Whether an object of this size may be kept at all. */
  mayKeep(size: number): boolean {
    const { enabled, maxFileSizeBytes, maxSizeBytes } = this.#options
    return enabled && size > 0 && size <= maxFileSizeBytes && size <= maxSizeBytes
  }

  has(sha256: string): boolean {
    return this.#kept.has(sha256)
  }

  get(sha256: string): OpenObject | undefined {
    const kept = this.#kept.get(sha256)
    if (!kept) return undefined
    this.#kept.delete(sha256)
    this.#kept.set(sha256, kept)
    return kept.object
  }

  /** Counts a request for an object that is not kept, and says whether to keep it now (`now` in ms). */
  wants(sha256: string, now: number): boolean {
    const asked = this.#asked.get(sha256) ?? this.#track(sha256, now)
    if (now - asked.since > this.#options.trackedMinutes * 60_000) Object.assign(asked, { count: 0, since: now })
    asked.count++
    return asked.count >= this.#options.minDownloads && now >= asked.outUntil
  }

  /** Keeps the whole object, if there is room for it or room can be made. */
  keep(sha256: string, bytes: Buffer, now: number): void {
    if (!this.mayKeep(bytes.length) || this.#kept.has(sha256) || !this.#makeRoom(bytes.length, now)) return
    this.#asked.delete(sha256)
    this.#kept.set(sha256, { object: inMemory(bytes), size: bytes.length, since: now })
    this.#bytes += bytes.length
  }

  drop(sha256: string): void {
    this.#bytes -= this.#kept.get(sha256)?.size ?? 0
    this.#kept.delete(sha256)
  }

  clear(): void {
    this.#kept.clear()
    this.#bytes = 0
  }

  #makeRoom(size: number, now: number): boolean {
    const { maxSizeBytes, minCacheTimeSeconds, minEvictedTimeSeconds } = this.#options
    let missing = this.#bytes + size - maxSizeBytes
    const leaving: string[] = []
    for (const [sha256, kept] of this.#kept) {
      if (missing <= 0) break
      if (now - kept.since < minCacheTimeSeconds * 1000) continue
      leaving.push(sha256)
      missing -= kept.size
    }
    if (missing > 0) return false
    for (const sha256 of leaving) {
      this.drop(sha256)
      this.#track(sha256, now).outUntil = now + minEvictedTimeSeconds * 1000
    }
    return true
  }

  #track(sha256: string, now: number): Asked {
    if (this.#asked.size >= TRACKED_AT_MOST) {
      const [oldest = ''] = this.#asked.keys()
      this.#asked.delete(oldest)
    }
    const asked = { count: 0, since: now, outUntil: 0 }
    this.#asked.set(sha256, asked)
    return asked
  }
}

/** A whole object in memory, for any number of readers. */
export function inMemory(bytes: Buffer): OpenObject {
  return {
    size: bytes.length,
    bytes,
    async *read({ start, end }: ByteRange) {
      yield bytes.subarray(start, end + 1)
    },
    async [Symbol.asyncDispose]() {},
  }
}
