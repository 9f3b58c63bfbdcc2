import { LRUCache } from 'lru-cache'
import type { Clock } from './clock.ts'

/** How much may be taken: `capacity` at once, and from then on what drains. In requests, bytes, whatever is counted. */
export interface BucketSize {
  readonly capacity: number
  /** More than 0. */
  readonly drainPerMinute: number
}

interface Bucket {
  level: number
  /** When it was at that level, in ms. */
  at: number
}

const MINUTE_MS = 60_000

/**
 * Leaky buckets, one for each name, in the memory of this process. They are as large as whoever fills them says, so a changed limit
 * counts at once. Of more than `atMost` names, the one that was not heard of for longest is forgotten, and begins anew.
 */
export class LeakyBuckets {
  readonly #clock: Clock
  readonly #buckets: LRUCache<string, Bucket>

  constructor(clock: Clock, options: { readonly atMost: number }) {
    this.#clock = clock
    this.#buckets = new LRUCache({ max: options.atMost })
  }

  /**
   * Fills a bucket, and gives 0; or leaves it as it is, and gives the ms until there is room again. A bucket that is not full takes
   * any amount once: else nobody would ever get what is larger than the bucket.
   */
  fill(name: string, amount: number, size: BucketSize): number {
    const bucket = this.#drained(name, size)
    const waitMs = waitFor(bucket.level, amount, size)
    if (waitMs === 0) bucket.level += amount
    return waitMs
  }

  /** As `fill`, with nothing going in. */
  waitFor(name: string, amount: number, size: BucketSize): number {
    return this.#buckets.has(name) ? waitFor(this.#drained(name, size).level, amount, size) : 0
  }

  /** The bucket as it is now. Changed in its place, which costs requests one look-up and no garbage. */
  #drained(name: string, { drainPerMinute }: BucketSize): Bucket {
    const now = this.#clock.now()
    const bucket = this.#buckets.get(name)
    if (!bucket) {
      const empty = { level: 0, at: now }
      this.#buckets.set(name, empty)
      return empty
    }
    bucket.level = Math.max(0, bucket.level - (Math.max(0, now - bucket.at) * drainPerMinute) / MINUTE_MS)
    // Also when it is earlier: a clock that was put back must not keep a bucket full until it is that late again.
    bucket.at = now
    return bucket
  }
}

function waitFor(level: number, amount: number, { capacity, drainPerMinute }: BucketSize): number {
  // Room for a whole one more, so that requests come at their rate and not as soon as the first fraction has drained.
  const excess = level + Math.min(1, amount) - capacity
  return excess > 0 ? Math.max(1, Math.ceil((excess * MINUTE_MS) / drainPerMinute)) : 0
}
