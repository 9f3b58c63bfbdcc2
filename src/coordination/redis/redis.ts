import { isDeepStrictEqual } from 'node:util'
import { type EventParts, redisDown, redisUp, redisWrong } from '../../lib/events.ts'
import { type Clock, steadyClock } from '../../lib/clock.ts'
import { type ByteBuckets, LocalBuckets } from '../byte-buckets.ts'
import type { Transport } from '../transport.ts'
import { RedisBuckets } from './byte-buckets.ts'
import { RedisLevels } from './levels.ts'
import type { RedisTarget } from './client.ts'
import { RedisObjects } from './objects.ts'
import { RemoteFiles } from './remote-files.ts'
import { RedisRing } from './ring.ts'
import { type RedisConfig, targetsOf } from './targets.ts'
import { RedisTransport } from './transport.ts'

export interface RedisParts extends Pick<EventParts, 'log' | 'metrics'> {
  /** The id of this repository's database: messages reach those with the same. */
  readonly repository: string
  /** How long looking something up may take, in ms; 250 if not given. */
  readonly timeoutMs?: number
  /** One that never goes back, for tests. */
  readonly clock?: Clock
}

/**
 * All that Redis is used for. Without any server (or without Redis) it finds nothing and keeps nothing, and the library is
 * not loaded. None of its servers is needed: each is used while it is there.
 */
export class Redis implements AsyncDisposable {
  /** Small objects by the hash of their content. */
  readonly objects: RedisObjects
  /** Files of other servers, for repositories with another database. */
  readonly remoteFiles: RemoteFiles
  /** How much everybody has fetched of late, in this repository. */
  readonly buckets: ByteBuckets
  /** How much everybody has asked for of late. */
  readonly levels: RedisLevels
  readonly #parts: RedisParts
  readonly #ring: RedisRing
  #config: RedisConfig
  #transports: readonly RedisTransport[] = []
  #configuring: Promise<void> = Promise.resolve()

  constructor(config: RedisConfig, parts: RedisParts) {
    this.#config = config
    this.#parts = parts
    const ring = new RedisRing({
      timeoutMs: parts.timeoutMs,
      onUp: (shard) => redisUp(parts, { shard, use: 'cache' }),
      onDown: (shard, error) => redisDown(parts, { shard, use: 'cache' }, error),
    })
    this.#ring = ring
    this.objects = new RedisObjects({
      ring,
      options: () => ({ ttlSeconds: this.#config.objectSeconds, maxBytes: this.#config.maxObjectBytes }),
      onWrong: (key) => redisWrong(parts, 'object', key),
    })
    this.remoteFiles = new RemoteFiles({
      ring,
      options: () => ({ ttlSeconds: this.#config.remoteSeconds, maxBytes: this.#config.maxRemoteBytes }),
    })
    const { clock = steadyClock(), repository } = parts
    this.levels = new RedisLevels({ ring, repository })
    this.buckets = new RedisBuckets({ ring, repository, local: new LocalBuckets({ clock }) })
  }

  /** One for each server, for the notifier, which starts and ends them; each stays the same while its server does. */
  get transports(): readonly Transport[] {
    return this.#transports
  }

  /**
   * Follows the configuration; resolves when the servers that are new were tried, whether or not they could be reached.
   *
   * @throws {ConfigError} when the file of `redis.tls.caPath` cannot be read; then everything stays as before
   */
  async configure(config: RedisConfig): Promise<void> {
    const before = this.#configuring
    const configuring = before.catch(() => {}).then(() => this.#follow(config))
    this.#configuring = configuring
    await configuring
  }

  async #follow(config: RedisConfig): Promise<void> {
    const targets = await targetsOf(config)
    this.#config = config
    const before = this.#transports
    this.#transports = targets.map(
      (target) => before.find((one) => isDeepStrictEqual(one.target, target)) ?? this.#transport(target),
    )
    await this.#ring.configure(targets)
  }

  #transport(target: RedisTarget): RedisTransport {
    const name = { shard: target.name, use: 'messages' } as const
    return new RedisTransport(target, {
      channel: `cellarium:${this.#parts.repository}`,
      onUp: () => redisUp(this.#parts, name),
      onDown: (error) => redisDown(this.#parts, name, error),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#configuring.catch(() => {})
    await this.#ring[Symbol.asyncDispose]()
  }
}
