import { hash } from 'node:crypto'
import type { BucketSize, ByteBuckets } from '../byte-buckets.ts'
import type { RedisRing } from './ring.ts'

/**
 * One charge, in one step that nothing comes between. Time is Redis's own, so that all instances have the same. Gives the ms to wait, 0 when the
 * bytes are in. What is kept ends when the bucket is empty, or after a year.
 */
const SCRIPT = `
local bytes, capacity, overflow, drain = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]) / 60000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(kept[1] or 0), tonumber(kept[2] or now)
level = math.max(0, level - math.max(0, now - at) * drain)
if ARGV[1] == 'take' and level > 0 and (level >= capacity or level + bytes > capacity + overflow) then
  local goal = math.max(0, math.min(capacity, capacity + overflow - bytes))
  return math.ceil((level - goal) / drain) + 1
end
if bytes > 0 then
  level = level + bytes
  redis.call('HSET', KEYS[1], 'level', string.format('%.3f', level), 'at', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(math.ceil(level / drain) + 1000, 31536000000)))
end
return 0`

export interface RedisBucketsParts {
  readonly ring: RedisRing
  /** The id of this repository's database: others on the same Redis have buckets of their own. */
  readonly repository: string
  /** What counts while Redis is away. It is told of everything, so that nobody begins anew at that moment. */
  readonly local: ByteBuckets
}

/** Buckets that all instances share, in Redis while it is there, and in the process otherwise. Never fails. */
export class RedisBuckets implements ByteBuckets {
  readonly #parts: RedisBucketsParts

  constructor(parts: RedisBucketsParts) {
    this.#parts = parts
  }

  async take(key: string, bytes: number, size: BucketSize): Promise<number> {
    const waitMs = await this.#charge('take', key, bytes, size)
    if (waitMs === undefined) return await this.#parts.local.take(key, bytes, size)
    if (waitMs === 0) await this.#parts.local.add(key, bytes, size)
    return waitMs
  }

  async add(key: string, bytes: number, size: BucketSize): Promise<void> {
    await Promise.all([this.#charge('add', key, bytes, size), this.#parts.local.add(key, bytes, size)])
  }

  /** Redis's answer; undefined without one. */
  async #charge(how: 'take' | 'add', key: string, bytes: number, size: BucketSize): Promise<number | undefined> {
    const name = this.#nameOf(key)
    const { capacityBytes, overflowLimitBytes, drainBytesPerMinute } = size
    const numbers = [bytes, capacityBytes, overflowLimitBytes, drainBytesPerMinute].map(String)
    try {
      const answer = await this.#parts.ring.for(name)?.command('EVAL', SCRIPT, '1', name, how, ...numbers)
      return typeof answer === 'number' && answer >= 0 ? answer : undefined
    } catch {
      // The connection has said what is wrong with it. A refusal (scripts not allowed, no memory left) means that it is not there.
      return undefined
    }
  }

  /** Hashed, since user ids may have any characters. */
  #nameOf(key: string): string {
    return `cellarium:bytes:${this.#parts.repository}:${hash('sha256', key)}`
  }
}
