import { LRUCache } from 'lru-cache'
import type { Clock } from './clock.ts'

/** How much may be taken: `capacity` at once, and from then on what drains. In requests, bytes, whatever is counted. */
export interface BucketSize {
  readonly capacity: number
  /** More than 0. */
  readonly drainPerMinute: number
}

interface Bucket {
  readonly level: number
  /** When it was at that level, in ms. */
  readonly at: number
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
  fill(name: string, amount: number, { capacity, drainPerMinute }: BucketSize): number {
    const now = this.#clock.now()
    const last = this.#buckets.get(name)
    const drained = last ? (Math.max(0, now - last.at) * drainPerMinute) / MINUTE_MS : 0
    const level = Math.max(0, (last?.level ?? 0) - drained)
    // Room for a whole one more, so that requests come at their rate and not as soon as the first fraction has drained.
    const excess = level + Math.min(1, amount) - capacity
    // Also where nothing goes in: a clock that was put back must not keep a bucket full until it is that late again.
    this.#buckets.set(name, { level: excess > 0 ? level : level + amount, at: now })
    return excess > 0 ? Math.max(1, Math.ceil((excess * MINUTE_MS) / drainPerMinute)) : 0
  }
}
