import type { MainConfig } from '../config/schema.ts'
import type { ByteBuckets } from '../coordination/byte-buckets.ts'
import { callerBlock } from '../lib/addresses.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { type EventParts, type LimitedServer, serverLimited } from '../lib/events.ts'
import { LeakyBuckets } from '../lib/leaky-buckets.ts'

type Limits = MainConfig['rateLimit']

const MOST_SERVERS = 20_000
const MOST_ADDRESSES = 20_000
/**
 * How often one address may make us ask a server for its keys: each costs somebody else's server a request. Many servers of one
 * hoster come from one address, and all of them need it after we were started.
 */
const KEY_LOOKUPS = { capacity: 200, drainPerMinute: 300 }

/** A bucket that is not full takes a file of any size. */
const ANY = Number.MAX_SAFE_INTEGER

export interface ServerLimitsParts {
  readonly clock: Clock
  /** Those of all instances, where they share any. */
  readonly byteBuckets: ByteBuckets
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/**
 * How much other homeservers may ask of this process; bytes, of all instances together where Redis counts for them. A server is
 * known by its signature, so nobody uses up what is another's; before there is one, by the address that the request comes from.
 */
export class ServerLimits {
  readonly #events: ServerLimitsParts['events']
  readonly #requests: LeakyBuckets
  readonly #bytes: ByteBuckets
  readonly #keyLookups: LeakyBuckets

  constructor({ clock, byteBuckets, events }: ServerLimitsParts) {
    this.#events = events
    this.#requests = new LeakyBuckets(clock, { atMost: MOST_SERVERS })
    this.#bytes = byteBuckets
    this.#keyLookups = new LeakyBuckets(clock, { atMost: MOST_ADDRESSES })
  }

  /** Counts a request of a server. @throws {Refused} `limited` */
  admitRequest(origin: string, { enabled, perServer: { requestsPerSecond, burst } }: Limits): void {
    if (!enabled || requestsPerSecond === 0) return
    const size = { capacity: Math.max(1, burst), drainPerMinute: requestsPerSecond * 60 }
    const retryAfterMs = this.#requests.fill(nameOf(origin), 1, size)
    this.#refuse({ limit: 'requests', who: origin, retryAfterMs }, 'This server asks too often')
  }

  /** Counts what is about to be sent to a server. @throws {Refused} `limited` */
  async admitBytes(origin: string, bytes: number, { enabled, perServer }: Limits): Promise<void> {
    if (!enabled || perServer.capacityBytes === 0) return
    const size = { ...perServer, overflowLimitBytes: ANY }
    const retryAfterMs = await this.#bytes.take(`served ${nameOf(origin)}`, bytes, size)
    this.#refuse({ limit: 'bytes', who: origin, retryAfterMs }, 'This server asks for too much')
  }

  /** Counts that a server is asked for its keys because of a request from this address. @throws {Refused} `limited` */
  admitKeyLookup(address: string): void {
    const retryAfterMs = this.#keyLookups.fill(callerBlock(address), 1, KEY_LOOKUPS)
    const why = 'The keys of too many servers are sought because of requests from this address'
    this.#refuse({ limit: 'key look-ups', who: address, retryAfterMs }, why)
  }

  #refuse(limited: LimitedServer, why: string): void {
    if (limited.retryAfterMs === 0) return
    serverLimited(this.#events, limited)
    throw new Refused('limited', why, { retryAfterMs: limited.retryAfterMs })
  }
}

const nameOf = (origin: string) => origin.toLowerCase()
