import type { Clock } from './clock.ts'
import { lastUsed } from './last-used.ts'

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
  /** How much of it other instances were not told of. */
  untold: number
}

const MINUTE_MS = 60_000
/** Others are told each time so much has gone in here, or half of what fits: a message for each would cost more than most requests. */
const TELL_EACH = 25

/**
 * Puts what went into a bucket here into the one that all instances share, and gives how full that is; undefined where nothing is shared.
 * Never rejects.
 */
export type Share = (name: string, amount: number, size: BucketSize) => Promise<number | undefined>

/**
 * Leaky buckets, one for each name, in the memory of this process. They are as large as whoever fills them says, so a changed limit
 * counts at once. With `share` they
 * hear of what other instances let through, a moment later. Of more than `atMost` names, the one that was not heard of for longest is forgotten, and begins anew.
 */
export class LeakyBuckets {
  readonly #clock: Clock
  readonly #buckets: ReturnType<typeof lastUsed<Bucket>>
  readonly #share: Share | undefined

  constructor(clock: Clock, options: { readonly atMost: number; readonly share?: Share }) {
    this.#clock = clock
    this.#share = options.share
    this.#buckets = lastUsed(options.atMost)
  }

  /**
   * Fills a bucket, and gives 0; or leaves it as it is, and gives the ms until there is room again. A bucket that is not full takes
   * any amount once: else nobody would ever get what is larger than the bucket.
   */
  fill(name: string, amount: number, size: BucketSize): number {
    const bucket = this.#drained(name, size)
    const waitMs = waitFor(bucket.level, amount, size)
    if (waitMs > 0) return waitMs
    bucket.level += amount
    bucket.untold += amount
    if (this.#share && bucket.untold >= Math.min(TELL_EACH, size.capacity / 2)) void this.#tell(name, bucket, size)
    return 0
  }

  async #tell(name: string, bucket: Bucket, size: BucketSize): Promise<void> {
    const { untold } = bucket
    bucket.untold = 0
    const level = await this.#share?.(name, untold, size)
    if (level !== undefined) bucket.level = Math.max(bucket.level, level)
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
      const empty = { level: 0, at: now, untold: 0 }
      this.#buckets.set(name, empty)
      return empty
    }
    bucket.level = Math.max(0, bucket.level - (Math.max(0, now - bucket.at) * drainPerMinute) / MINUTE_MS)
    // Also when it is earlier: a clock that was put back must not keep a bucket full until it is that late again.
    bucket.at = now
    // What has drained need not be told of any more.
    bucket.untold = Math.min(bucket.untold, bucket.level)
    return bucket
  }
}

function waitFor(level: number, amount: number, { capacity, drainPerMinute }: BucketSize): number {
  // Room for a whole one more, so that requests come at their rate and not as soon as the first fraction has drained.
  const excess = level + Math.min(1, amount) - capacity
  return excess > 0 ? Math.max(1, Math.ceil((excess * MINUTE_MS) / drainPerMinute)) : 0
}
