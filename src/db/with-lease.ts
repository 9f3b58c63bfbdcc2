import type { Log } from '../lib/log.ts'
import type { Database } from './connect.ts'
import { type Lease, type LeaseFor, releaseLease, renewLease, takeLease } from './leases.ts'

export interface LeaseParts {
  readonly db: Pick<Database, 'write'>
  readonly log: Log
  /** Makes a text that nobody else has. */
  readonly newToken: () => string
}

export interface LeaseOptions {
  /** How long the lease outlives a holder that died, in ms; 20 s if not given. Renewed three times in this time. */
  readonly ms?: number | undefined
  /** Ends the work. */
  readonly signal?: AbortSignal | undefined
}

export type Leased<Result> =
  | { readonly outcome: 'done'; readonly result: Result }
  /** Somebody else is at it: nothing was done. */
  | { readonly outcome: 'busy' }

/** The lease went to somebody else, or could not be renewed in time: what was begun must not be completed. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
}

const DEFAULT_MS = 20_000
const RENEWALS = 3

/**
 * Does `work` if nobody else does what `name` stands for, on any instance. The lease is renewed until the work ends; when it
 * is lost, the signal aborts with `LeaseLost`. A process that is stopped for a while may notice that late, so each
 * transaction of the work also asks `holdsLease`.
 */
export async function withLease<Result>(
  parts: LeaseParts,
  name: string,
  options: LeaseOptions,
  work: (lease: Lease, signal: AbortSignal) => Promise<Result>,
): Promise<Leased<Result>> {
  const { ms = DEFAULT_MS } = options
  const lease: LeaseFor = { name, token: parts.newToken(), ms }
  if (!(await parts.db.write(takeLease, lease))) return { outcome: 'busy' }
  await using heartbeat = new Heartbeat(parts, lease)
  const signal = options.signal ? AbortSignal.any([options.signal, heartbeat.signal]) : heartbeat.signal
  return { outcome: 'done', result: await work({ name, token: lease.token }, signal) }
}

/** Renews a lease until it is disposed, and then gives it back. */
class Heartbeat implements AsyncDisposable {
  readonly #parts: LeaseParts
  readonly #lease: LeaseFor
  readonly #lost = new AbortController()
  #timer: NodeJS.Timeout
  /** Fires when the lease has ended without having been renewed. */
  #end: NodeJS.Timeout
  #renewing: Promise<void> = Promise.resolve()

  constructor(parts: LeaseParts, lease: LeaseFor) {
    this.#parts = parts
    this.#lease = lease
    this.#end = this.#expectEnd()
    this.#timer = this.#renewLater()
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  #renewLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#renewing = this.#renew()
    }, this.#lease.ms / RENEWALS).unref()
  }

  #expectEnd(): NodeJS.Timeout {
    const reason = `${this.#lease.name} could not be renewed for ${this.#lease.ms} ms`
    return setTimeout(() => this.#lose(reason), this.#lease.ms).unref()
  }

  async #renew(): Promise<void> {
    // From before the question: the database counts from when it gets it.
    const end = this.#expectEnd()
    try {
      if (!(await this.#parts.db.write(renewLease, this.#lease))) {
        this.#lose(`${this.#lease.name} was taken by another instance`)
      }
      clearTimeout(this.#end)
      this.#end = end
    } catch (error) {
      clearTimeout(end)
      this.#parts.log.warn({ err: error, lease: this.#lease.name }, 'a lease could not be renewed; it is tried again')
    }
    if (!this.#lost.signal.aborted) this.#timer = this.#renewLater()
  }

  #lose(reason: string): void {
    if (this.#lost.signal.aborted) return
    this.#parts.log.warn({ lease: this.#lease.name }, `work ends in the middle: ${reason}`)
    this.#lost.abort(new LeaseLost(reason))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer)
    await this.#renewing
    clearTimeout(this.#timer)
    clearTimeout(this.#end)
    try {
      await this.#parts.db.write(releaseLease, this.#lease)
    } catch (error) {
      this.#parts.log.warn(
        { err: error, lease: this.#lease.name },
        'a lease could not be given back; it ends by itself',
      )
    }
  }
}
