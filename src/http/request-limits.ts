import type { MainConfig } from '../config/schema.ts'
import { callerBlock } from '../lib/addresses.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { type EventParts, type LimitedRequest, requestLimited } from '../lib/events.ts'
import { type BucketSize, LeakyBuckets, type Share } from '../lib/leaky-buckets.ts'
import type { Caller } from '../matrix/caller.ts'
import { isExempt } from '../media/byte-limit.ts'
import type { Call } from './call.ts'
import type { Route } from './route.ts'

type Limits = MainConfig['rateLimit']

/** Of each kind; more than one server has callers within the seconds that a bucket takes to drain. */
const MOST = 50_000

export interface RequestLimitsParts {
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  /** Makes the limits those of all instances together, as far as they tell each other; absent: each counts for itself. */
  readonly levels?: { readonly add: Share }
}

/** As much of a request as limits depend on. */
type Asked = Pick<Call, 'main' | 'address' | 'request'>

/**
 * How many requests may be made (`rateLimit`): from one address to one path, which is what matrix-media-repo limits; by one
 * caller; and for new media ids. Each process counts for itself, and hears of the others where Redis is. Other homeservers have limits of their own (`ServerLimits`).
 */
export class RequestLimits {
  readonly #events: RequestLimitsParts['events']
  readonly #paths: LeakyBuckets
  readonly #callers: LeakyBuckets
  readonly #wrongTokens: LeakyBuckets
  readonly #creations: LeakyBuckets

  constructor({ clock, events, levels }: RequestLimitsParts) {
    this.#events = events
    const buckets = (kind: string) => {
      const share: Share | undefined = levels && ((name, ...of) => levels.add(`${kind} ${name}`, ...of))
      return new LeakyBuckets(clock, { atMost: MOST, ...(share ? { share } : {}) })
    }
    this.#paths = buckets('path')
    this.#callers = buckets('caller')
    this.#wrongTokens = buckets('wrong tokens')
    this.#creations = buckets('create')
  }

  /**
   * Counts a request of an address to a path, before anybody is asked who it is. Only when there are too many `isKnown` is asked
   * whether the limit is not for whoever sent this one.
   *
   * @throws {Refused} `limited`
   */
  admitPath({ main, address, request }: Asked, { who, limits }: Route, isKnown: () => boolean): void {
    const { enabled, requestsPerSecond, burst } = main.rateLimit
    if (!enabled || requestsPerSecond === 0 || who === 'server' || limits !== undefined) return
    const { url = '' } = request
    const mark = url.indexOf('?')
    const path = mark < 0 ? url : url.slice(0, mark)
    const block = callerBlock(address)
    const retryAfterMs = this.#paths.fill(`${block} ${path}`, 1, sizeOf({ requestsPerSecond, burst }))
    if (retryAfterMs === 0 || isKnown()) return
    this.#refuse({ limit: 'path', who: block, path, retryAfterMs }, 'Too many requests for this path; wait a moment')
  }

  /** Counts a request of a caller: a user, else the address. @throws {Refused} `limited` */
  admitCaller({ main, address, caller }: Asked & { readonly caller: Caller }, { who, limits }: Route): void {
    const size = callersSize(main.rateLimit)
    if (!size || who === 'server' || limits === 'none' || isExempt(caller)) return
    const name = caller.kind === 'user' ? caller.userId : callerBlock(address)
    this.#refuseCaller(name, this.#callers.fill(name, 1, size))
  }

  /**
   * Refuses addresses from which too many tokens came that are nobody's, before a homeserver is asked about one more. Only these count:
   * what others at the address ask for without a token must not keep users out.
   *
   * @throws {Refused} `limited`
   */
  admitToken({ main, address }: Asked): void {
    const size = callersSize(main.rateLimit)
    if (!size) return
    const name = callerBlock(address)
    this.#refuseCaller(name, this.#wrongTokens.waitFor(name, 1, size))
  }

  /** Counts a token that is nobody's. */
  countWrongToken({ main, address }: Asked): void {
    const size = callersSize(main.rateLimit)
    if (size) this.#wrongTokens.fill(callerBlock(address), 1, size)
  }

  /** Counts a media id that a user wants. @throws {Refused} `limited` */
  admitCreation({ main, address, caller }: Asked & { readonly caller: Caller }): void {
    const { enabled, create } = main.rateLimit
    if (!enabled || create.requestsPerSecond === 0 || isExempt(caller)) return
    const name = caller.kind === 'user' ? caller.userId : callerBlock(address)
    const retryAfterMs = this.#creations.fill(name, 1, sizeOf(create))
    this.#refuse({ limit: 'create', who: name, retryAfterMs }, 'Too many media ids at once; wait a moment')
  }

  #refuseCaller(who: string, retryAfterMs: number): void {
    this.#refuse({ limit: 'caller', who, retryAfterMs }, 'Too many requests; wait a moment')
  }

  #refuse(limited: LimitedRequest, why: string): void {
    if (limited.retryAfterMs === 0) return
    requestLimited(this.#events, limited)
    throw new Refused('limited', why, { retryAfterMs: limited.retryAfterMs })
  }
}

interface Rate {
  readonly requestsPerSecond: number
  readonly burst: number
}

const sizeOf = ({ requestsPerSecond, burst }: Rate): BucketSize => ({
  capacity: Math.max(1, burst),
  drainPerMinute: requestsPerSecond * 60,
})

function callersSize({ enabled, perCaller }: Limits): BucketSize | undefined {
  return enabled && perCaller.requestsPerSecond > 0 ? sizeOf(perCaller) : undefined
}
