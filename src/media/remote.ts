import type { Notifier } from '../coordination/notifier.ts'
import { type Database, isAlone } from '../db/connect.ts'
import { isLeased } from '../db/leases.ts'
import { findMedia, type MediaRecord } from '../db/media.ts'
import { type Leased, LeaseLost, withLease } from '../db/with-lease.ts'
import { CallerGone, Refused, Unavailable } from '../lib/errors.ts'
import { fetchFailed } from '../lib/events.ts'
import { FairWorkQueue, type Place } from '../lib/work-queue.ts'
import { formatMxc, type Mxc } from '../matrix/ids.ts'
import { RemoteMediaError } from '../matrix/remote-error.ts'
import type { Payer } from './byte-limit.ts'
import type { Context } from './context.ts'
import { isMarkedLost } from './lost.ts'
import { listen, LOOK_AGAIN_MS } from './pending.ts'
import { asRefusal, RemoteFailures, RemoteFileRefused } from './remote-failures.ts'
import { type FetchJob, fetchOnce, type RemoteFetchParts } from './remote-fetch.ts'
import { shareRemote } from './shared-remote.ts'
import { type Fetched, type FetchProgress, SharedFetch } from './shared-fetch.ts'

export interface RemoteParts extends RemoteFetchParts {
  readonly db: Pick<Database, 'engine' | 'read' | 'write'>
  readonly notifier: Notifier
  /** Makes a text that nobody else has. */
  readonly newToken: () => string
  /** Whether media of this server are ours: never fetched. */
  readonly isOurs: (serverName: string) => boolean
}

export interface RemoteOptions {
  /** `downloads.numWorkers`: most files fetched at a time. */
  readonly workers: number
  /** How long an instance that died keeps others from a file, in ms. */
  readonly leaseMs?: number
  /** How long an origin may take to begin its answer beyond the caller's `timeout_ms`, in ms. */
  readonly graceMs?: number
}

const LEASE_MS = 10_000
/** To find the server, to connect, to hear its answer. */
const GRACE_MS = 10_000
/** For each fetch at a time, so many wait: a page full of pictures from a slow server. */
const WAITING_PER_WORKER = 50
/** Of somebody whose turn comes after others who may not, or who loses it. */
const ATTEMPTS = 3
const RETRY_WHEN_FULL_MS = 5000

/**
 * Fetches files of other servers: each once, however many ask for it, on however many instances. Within this process they share
 * a fetch; between instances a lease decides who fetches, and the others wait until the file is stored
 * (docs/decisions/024).
 */
export class RemoteMedia implements AsyncDisposable {
  readonly #parts: RemoteParts
  readonly #options: Required<RemoteOptions>
  readonly #queue: FairWorkQueue
  readonly #failures: RemoteFailures
  readonly #underWay = new Map<string, SharedFetch>()
  /** What is being fetched, where no lease in the database says it. */
  readonly #held = new Set<string>()
  readonly #background = new Set<Promise<unknown>>()
  readonly #closed = new AbortController()

  constructor(parts: RemoteParts, options: RemoteOptions) {
    this.#parts = parts
    this.#options = { leaseMs: LEASE_MS, graceMs: GRACE_MS, ...options }
    this.#failures = new RemoteFailures(parts)
    const { workers } = options
    this.#queue = new FairWorkQueue({
      atATime: workers,
      waiting: workers * WAITING_PER_WORKER,
      retryMs: RETRY_WHEN_FULL_MS,
      what: 'files of other servers are being fetched (downloads.numWorkers)',
    })
  }

  /** Whether media of this server are ours, and never fetched. */
  isOurs(serverName: string): boolean {
    return this.#parts.isOurs(serverName)
  }

  /**
   * The file behind an MXC URI of another server, from there: as soon as it begins to come, if it may be passed on before it is
   * known whole; else when it is stored. Whether the caller may have it has been decided before.
   *
   * @throws {Refused} `not_found`, `not_yet_uploaded`, `remote_too_large`, `origin_unavailable`, `origin_timed_out`; `limited`
   * when too many are being fetched
   * @throws {Unavailable} when it cannot be stored
   * @throws {CallerGone} when the caller leaves
   */
  async fetch(ctx: Context, asked: Mxc & { readonly timeoutMs: number }): Promise<Fetched> {
    const { clock } = this.#parts
    const deadline = clock.now() + asked.timeoutMs
    const key = `${ctx.homeserver.name} ${ctx.homeserver.freezeUnauthenticatedMedia} ${formatMxc(asked)}`
    for (let attempt = 1; ; attempt++) {
      this.#failures.throwIfKept(key)
      const shared = this.#underWay.get(key)
      const fetch = shared && !shared.isStopped ? shared : this.#begin(key, ctx, { ...asked, deadline }, shared)
      try {
        return await fetch.join(ctx.signal, this.#leftOf(deadline) + this.#options.graceMs)
      } catch (error) {
        const isOurOwn = fetch !== shared
        if (isOurOwn || !mayDoBetter(error, attempt) || clock.now() >= deadline) throw asRefusal(error)
      }
    }
  }

  /** Lets what failed be tried again at once: an administrator has looked after this server, or after the configuration. */
  forgetFailures(origin?: string): void {
    this.#failures.forget(origin)
  }

  /** At least 1: 0 could mean to others that nobody said how long. */
  #leftOf(deadline: number): number {
    return Math.max(1, deadline - this.#parts.clock.now())
  }

  /** One that was stopped has to let go of its lease first. */
  #begin(key: string, ctx: Context, asked: Asked, before: SharedFetch | undefined): SharedFetch {
    const fetch = new SharedFetch(async (progress, left) => {
      await before?.ended
      const signal = AbortSignal.any([left, this.#closed.signal])
      const { homeserver, caller, address } = ctx
      await this.#fetch(key, { homeserver, payer: { caller, address }, asked, progress, signal })
    })
    this.#underWay.set(key, fetch)
    this.#inBackground(this.#forgetWhenEnded(key, fetch))
    return fetch
  }

  async #forgetWhenEnded(key: string, fetch: SharedFetch): Promise<void> {
    await fetch.ended
    if (this.#underWay.get(key) === fetch) this.#underWay.delete(key)
  }

  async #fetch(key: string, fetching: Fetching): Promise<void> {
    const { asked, homeserver } = fetching
    try {
      await this.#take(fetching)
    } catch (error) {
      this.#noteFailure(asked, error)
      this.#failures.keep({ key, origin: asked.origin }, error, homeserver.downloads.failureCacheMinutes * 60_000)
      throw error
    }
  }

  /** Under the lease, or after whoever has it. */
  async #take(fetching: Fetching): Promise<void> {
    const { asked, progress, signal } = fetching
    const name = `remote ${formatMxc(asked)}`
    for (let attempt = 1; ; attempt++) {
      const { outcome } = await this.#queue
        .run(asked.origin, signal, (place) => this.#leased(name, place, fetching))
        .catch((error: unknown) => standAside(error, progress, attempt))
      if (outcome === 'done') return
      progress.answered()
      const record = await this.#waitForOther(name, asked, signal)
      if (record) return progress.stored(record)
    }
  }

  /** Where no other instance can be at it, the lease is a name in memory: in the database it would cost two commits. */
  async #leased(name: string, place: Place, fetching: Fetching): Promise<Leased<void>> {
    if (!isAlone(this.#parts.db)) {
      const options = { ms: this.#options.leaseMs, signal: fetching.signal }
      return await withLease(this.#parts, name, options, (lease, signal) =>
        this.#work({ ...fetching, signal }, { place, lease }),
      )
    }
    if (this.#held.has(name)) return { outcome: 'busy' }
    this.#held.add(name)
    try {
      return { outcome: 'done', result: await this.#work(fetching, { place, lease: undefined }) }
    } finally {
      this.#held.delete(name)
    }
  }

  async #work({ asked, homeserver, payer, progress, signal }: Fetching, right: Right): Promise<void> {
    const { record, isFetched } = await fetchOnce(this.#parts, {
      mxc: asked,
      homeserver,
      payer,
      ...right,
      timeoutMs: this.#leftOf(asked.deadline),
      idleMs: homeserver.timeouts.federationTimeoutSeconds * 1000,
      progress,
      signal,
    })
    progress.stored(record)
    this.#parts.notifier.notify('uploaded', formatMxc(asked))
    if (isFetched) this.#inBackground(shareRemote(this.#parts, record))
  }

  /** What another instance fetches, once it is stored; undefined when nobody is at it any more. */
  async #waitForOther(lease: string, mxc: Mxc, signal: AbortSignal): Promise<MediaRecord | undefined> {
    const { db, notifier } = this.#parts
    using hints = listen(notifier, formatMxc(mxc), signal)
    for (;;) {
      // The lease before the record: what is stored in between is then found.
      const isBusy = isAlone(db) ? this.#held.has(lease) : await isLeased(db.read, lease)
      const record = await findMedia(db.read, mxc.origin, mxc.mediaId)
      if (record && !isMarkedLost(record)) return record
      if (!isBusy) return undefined
      await hints.next(LOOK_AGAIN_MS)
      signal.throwIfAborted()
    }
  }

  #noteFailure({ origin, mediaId }: Mxc, error: unknown): void {
    const isTurnedAway = error instanceof Refused && error.reason === 'limited'
    if (isTurnedAway || error instanceof CallerGone || this.#closed.signal.aborted) return
    fetchFailed(this.#parts.events, { origin, mediaId, reason: reasonOf(error) }, error)
  }

  #inBackground(work: Promise<unknown>): void {
    this.#background.add(work)
    void work.finally(() => this.#background.delete(work))
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(
      new Refused('origin_unavailable', 'the server is stopping', { retryAfterMs: RETRY_WHEN_FULL_MS }),
    )
    await Promise.allSettled(this.#background)
  }
}

/** `deadline`: until when whoever asks waits for a file that is announced and not there yet, in ms since 1970. */
type Asked = Mxc & { readonly deadline: number }

interface Fetching {
  readonly asked: Asked
  /** Who asks: whose key signs, whose limits and datastores count. */
  readonly homeserver: Context['homeserver']
  readonly payer: Payer
  readonly progress: FetchProgress
  /** Aborts when nobody wants the file any more, or it must not be gone on with. */
  readonly signal: AbortSignal
}

/** What lets a fetch be done, and its result be recorded. */
type Right = Pick<FetchJob, 'place' | 'lease'>

/** Whoever began it may have less patience with an upload that is only announced, or may have fetched too much already. */
function mayDoBetter(error: unknown, attempt: number): boolean {
  if (error instanceof RemoteMediaError) return error.reason === 'not_yet_uploaded'
  return error instanceof Refused && error.reason === 'limited' && attempt < ATTEMPTS
}

/** Who loses the lease before anybody has got a byte waits for whoever has it now, as all others do. */
function standAside(error: unknown, { hasBegun }: FetchProgress, attempt: number): Leased<void> {
  if (error instanceof LeaseLost && !hasBegun && attempt < ATTEMPTS) return { outcome: 'busy' }
  throw error
}

function reasonOf(error: unknown): string {
  if (error instanceof RemoteMediaError || error instanceof RemoteFileRefused || error instanceof Refused) {
    return error.reason
  }
  return error instanceof Unavailable ? 'storage_unavailable' : 'internal'
}
