import { hash } from 'node:crypto'
import type { RedisRing } from './ring.ts'

/**
 * Puts something in, and gives how much is in then, in thousandths. Time is Redis's own, so that all instances have the same. What is kept
 * ends when the bucket is empty.
 */
const SCRIPT = `
local amount, drain = tonumber(ARGV[1]), tonumber(ARGV[2]) / 60000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(kept[1] or 0), tonumber(kept[2] or now)
level = math.max(0, level - math.max(0, now - at) * drain) + amount
redis.call('HSET', KEYS[1], 'level', string.format('%.3f', level), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(math.ceil(level / drain) + 1000, 31536000000)))
return math.floor(level * 1000)`

export interface RedisLevelsParts {
  readonly ring: RedisRing
  /** The id of this repository's database. */
  readonly repository: string
}

/** How full the buckets of all instances are together, while Redis is there. Never fails. */
export class RedisLevels {
  readonly #parts: RedisLevelsParts

  constructor(parts: RedisLevelsParts) {
    this.#parts = parts
  }

  /** Puts `amount` into the bucket that all share, and gives how much is in it then; undefined without Redis. */
  async add(
    key: string,
    amount: number,
    { drainPerMinute }: { readonly drainPerMinute: number },
  ): Promise<number | undefined> {
    const { ring, repository } = this.#parts
    // Hashed, since user ids may have any characters.
    const name = `cellarium:requests:${repository}:${hash('sha256', key)}`
    try {
      const answer = await ring.for(name)?.command('EVAL', SCRIPT, '1', name, String(amount), String(drainPerMinute))
      return typeof answer === 'number' && answer >= 0 ? answer / 1000 : undefined
    } catch {
      // The connection has said what is wrong with it. A refusal means that it is not there.
      return undefined
    }
  }
}
