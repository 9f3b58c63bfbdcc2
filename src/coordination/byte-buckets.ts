import type { Clock } from '../lib/clock.ts'

/** How large a bucket is and how fast it empties. The keys are those of `rateLimit.buckets.downloads` in the configuration. */
export interface BucketSize {
  readonly capacityBytes: number
  readonly drainBytesPerMinute: number
  readonly overflowLimitBytes: number
}

/**
 * Leaky buckets of bytes, one for each key. As long as one is not full, something that overfills it by no more than the overflow
 * limit still goes in (MMR behaviour §5.5), and into an empty one anything: otherwise a file larger than both could never be had, however long
 * one waits.
 */
export interface ByteBuckets {
  /**
   * Puts bytes in, if they may. With 0 bytes it only says whether the bucket has room at all.
   *
   * @returns after how many ms trying again makes sense; 0 when they are in
   */
  take(key: string, bytes: number, size: BucketSize): Promise<number>
  /** Puts in what is there already, room or not. */
  add(key: string, bytes: number, size: BucketSize): Promise<void>
}

interface Bucket {
  /** In bytes. */
  readonly level: number
  readonly at: number
  /** When it will be empty. */
  readonly emptyAt: number
}

/** What an attacker with many addresses can fill: about 10 MB. */
const BUCKETS_AT_MOST = 50_000
const SWEEP_EVERY_MS = 60_000

export interface LocalBucketsParts {
  /** One that never goes back. */
  readonly clock: Clock
  /** How many are kept, the last ones used; 50,000 if not given. */
  readonly most?: number
}

/** Buckets of this process alone. Those that have drained are forgotten, which changes nothing. */
export class LocalBuckets implements ByteBuckets {
  readonly #parts: LocalBucketsParts
  /** By when they were last filled, the longest ago first. */
  readonly #buckets = new Map<string, Bucket>()
  #sweepAt = 0

  constructor(parts: LocalBucketsParts) {
    this.#parts = parts
  }

  /** How many are remembered. */
  get count(): number {
    return this.#buckets.size
  }

  async take(key: string, bytes: number, size: BucketSize): Promise<number> {
    const level = this.#levelOf(key, size)
    const waitMs = waitFor(level, bytes, size)
    if (waitMs === 0) this.#fill(key, level + bytes, size)
    return waitMs
  }

  async add(key: string, bytes: number, size: BucketSize): Promise<void> {
    this.#fill(key, this.#levelOf(key, size) + bytes, size)
  }

  #levelOf(key: string, { drainBytesPerMinute }: BucketSize): number {
    const bucket = this.#buckets.get(key)
    if (!bucket) return 0
    const drained = ((this.#parts.clock.now() - bucket.at) / 60_000) * drainBytesPerMinute
    return Math.max(0, bucket.level - drained)
  }

  #fill(key: string, level: number, { drainBytesPerMinute }: BucketSize): void {
    this.#buckets.delete(key)
    if (level === 0) return
    const now = this.#parts.clock.now()
    this.#buckets.set(key, { level, at: now, emptyAt: now + (level / drainBytesPerMinute) * 60_000 })
    if (now >= this.#sweepAt) this.#sweep(now)
    const { most = BUCKETS_AT_MOST } = this.#parts
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > most && oldest !== undefined) this.#buckets.delete(oldest)
  }

  #sweep(now: number): void {
    this.#sweepAt = now + SWEEP_EVERY_MS
    for (const [key, { emptyAt }] of this.#buckets) if (emptyAt <= now) this.#buckets.delete(key)
  }
}

/** After how many ms `bytes` go into a bucket with this level; 0: now. The script for Redis reckons in the same way. */
export function waitFor(level: number, bytes: number, size: BucketSize): number {
  const { capacityBytes, drainBytesPerMinute, overflowLimitBytes } = size
  if (level === 0) return 0
  if (level < capacityBytes && level + bytes <= capacityBytes + overflowLimitBytes) return 0
  const goal = Math.max(0, Math.min(capacityBytes, capacityBytes + overflowLimitBytes - bytes))
  return Math.ceil(((level - goal) / drainBytesPerMinute) * 60_000) + 1
}
