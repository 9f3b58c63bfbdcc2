import { lastUsed } from '../../lib/last-used.ts'
import type { Clock } from '../../lib/clock.ts'
import { Refused } from '../../lib/errors.ts'
import type { EventParts } from '../../lib/events.ts'
import { remoteKeysFetched } from '../../lib/key-events.ts'
import { waitFor } from '../../lib/shared-work.ts'
import { askNotary, askOrigin, type RequestKeys } from './ask-keys.ts'
import { KeysUnusable, type PublishedKeys } from './published-keys.ts'

export interface RemoteKeysParts {
  readonly request: RequestKeys
  /** Servers to ask for the keys of those that do not answer; as the configuration has them at this moment. */
  readonly notaries: () => readonly string[]
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

interface Kept {
  readonly keys: PublishedKeys
  /** Half of their life: from then on they are asked for again, and still used where no answer comes. */
  readonly freshUntil: number
  /** Not asked again before, whichever unknown key a request names. */
  readonly nextTry: number
}

interface Failed {
  readonly times: number
  readonly nextTry: number
  readonly problem: string
}

const MOST_ORIGINS = 20_000
const MOST_FETCHES = 500
const BUSY_MS = 5000
/** How long a key that a server does not list is believed to be none of its keys. */
const UNKNOWN_KEY_MS = 60_000
/** Also for servers whose keys are valid for a moment only. */
const SHORTEST_PAUSE_MS = 5000
const LONGEST_PAUSE_MS = 300_000

/**
 * The keys of other servers: asked for once however many requests wait for them, kept for half their life, and not asked for again
 * too soon when that failed. What one server does delays nobody who waits for another (MMR holds one lock for all).
 */
export class RemoteKeys implements AsyncDisposable {
  readonly #parts: RemoteKeysParts
  readonly #kept = lastUsed<Kept>(MOST_ORIGINS)
  /** Apart, so that made-up names push out no keys. */
  readonly #failed = lastUsed<Failed>(MOST_ORIGINS)
  readonly #fetches = new Map<string, Promise<PublishedKeys>>()
  readonly #ending = new AbortController()

  constructor(parts: RemoteKeysParts) {
    this.#parts = parts
  }

  /**
   * What is known of a server's keys, after asking it if none of `keyIds` is known (or for all, if empty) or it is time. What it
   * answers may still lack the keys wanted.
   *
   * @throws {Refused} `server_keys_unavailable` with the reason, or `limited` when too many servers are being asked
   * @throws {CallerGone} once the signal aborts; the fetch goes on, for it would be needed again
   */
  async find(origin: string, keyIds: readonly string[], signal?: AbortSignal): Promise<PublishedKeys> {
    return await this.#find(origin, keyIds, { signal, notaries: this.#parts.notaries() })
  }

  /** Gives up what is being fetched. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error('the server ends'))
    await Promise.allSettled(this.#fetches.values())
  }

  async #find(
    origin: string,
    keyIds: readonly string[],
    { signal, notaries }: { readonly signal?: AbortSignal | undefined; readonly notaries: readonly string[] },
  ): Promise<PublishedKeys> {
    const now = this.#parts.clock.now()
    const last = this.#kept.get(origin)
    const kept = this.#validKept(origin, now)
    const isKnown = kept !== undefined && (keyIds.length === 0 || keyIds.some((id) => kept.keys.current.has(id)))
    if (isKnown && now < kept.freshUntil) return kept.keys
    const failed = this.#failed.get(origin)
    const nextTry = failed?.nextTry ?? last?.nextTry ?? now
    if (now < nextTry) {
      if (kept) return kept.keys
      throw unavailable(origin, failed?.problem ?? 'they were valid for a moment only', nextTry - now)
    }
    return await waitFor(this.#fetchOnce(origin, keyIds, notaries), signal)
  }

  #validKept(origin: string, now: number): Kept | undefined {
    const kept = this.#kept.get(origin)
    return kept && now < kept.keys.validUntil ? kept : undefined
  }

  #fetchOnce(origin: string, keyIds: readonly string[], notaries: readonly string[]): Promise<PublishedKeys> {
    // A notary's own keys are fetched without notaries, and apart: two of them might else wait for each other for ever.
    const name = notaries.length === 0 ? `directly ${origin}` : origin
    const underWay = this.#fetches.get(name)
    if (underWay) return underWay
    if (this.#fetches.size >= MOST_FETCHES) {
      throw new Refused('limited', 'the keys of too many servers are being fetched', { retryAfterMs: BUSY_MS })
    }
    const fetching = this.#fetch(origin, keyIds, notaries).finally(() => this.#fetches.delete(name))
    this.#fetches.set(name, fetching)
    fetching.catch(() => {})
    return fetching
  }

  async #fetch(origin: string, keyIds: readonly string[], notaries: readonly string[]): Promise<PublishedKeys> {
    try {
      const keys = await this.#ask(origin, keyIds, notaries)
      this.#keep(origin, keys)
      remoteKeysFetched(this.#parts.events, { origin })
      return keys
    } catch (error) {
      const { problem, nextTry } = this.#remember(origin, error)
      remoteKeysFetched(this.#parts.events, { origin, problem: error })
      const now = this.#parts.clock.now()
      const kept = this.#validKept(origin, now)
      if (kept) return kept.keys
      throw unavailable(origin, problem, nextTry - now, error)
    }
  }

  /** The server itself, then each notary. If nobody helps, what is wrong with the server itself is what its administrator needs to know. */
  async #ask(origin: string, keyIds: readonly string[], notaries: readonly string[]): Promise<PublishedKeys> {
    const asking = { request: this.#parts.request, now: this.#parts.clock.now(), signal: this.#ending.signal }
    const errors: unknown[] = []
    try {
      return await askOrigin(asking, origin)
    } catch (error) {
      errors.push(error)
    }
    for (const notary of notaries.filter((name) => name !== origin)) {
      const notaryKeys = (ids: readonly string[]) => this.#find(notary, ids, { notaries: [] })
      try {
        return await askNotary(asking, { notary, origin, keyIds, notaryKeys })
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length === 1) throw errors[0]
    throw new AggregateError(errors, 'neither the server nor a notary gave its keys')
  }

  #keep(origin: string, keys: PublishedKeys): void {
    const now = this.#parts.clock.now()
    const freshUntil = now + (keys.validUntil - now) / 2
    const nextTry = Math.max(now + SHORTEST_PAUSE_MS, Math.min(now + UNKNOWN_KEY_MS, freshUntil))
    this.#kept.set(origin, { keys, freshUntil, nextTry })
    this.#failed.delete(origin)
  }

  #remember(origin: string, error: unknown): Failed {
    const times = (this.#failed.get(origin)?.times ?? 0) + 1
    const pauseMs = Math.min(SHORTEST_PAUSE_MS * 2 ** (times - 1), LONGEST_PAUSE_MS)
    const failed = { times, nextTry: this.#parts.clock.now() + pauseMs, problem: problemOf(error) }
    this.#failed.set(origin, failed)
    return failed
  }
}

/** What the sender may know. How the network here looks like is none of its business. */
function problemOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  return first instanceof KeysUnusable ? first.message : 'its server does not answer'
}

function unavailable(origin: string, problem: string, retryAfterMs: number, cause?: unknown): Refused {
  return new Refused(
    'server_keys_unavailable',
    `invalid auth provided (required): the signing keys of ${origin} cannot be fetched: ${problem}`,
    { retryAfterMs, cause },
  )
}
