import { createHash } from 'node:crypto'
import { hintsOf } from '../coordination/hints.ts'
import type { Notifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { holderOf } from '../db/leases.ts'
import type { ThumbnailRecord } from '../db/thumbnails.ts'
import { type Leased, LeaseLost, type LeaseParts, withLease } from '../db/with-lease.ts'
import { type Reason, Refused } from '../lib/errors.ts'
import { SharedWork } from '../lib/shared-work.ts'
import { WorkQueue } from '../lib/work-queue.ts'

export interface MakingParts extends LeaseParts {
  readonly db: Pick<Database, 'engine' | 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'notify' | 'on'>
}

export interface MakingOptions {
  /** How many are made at a time: their sources fetched, decoded, their results stored. */
  readonly atATime: number
  /** How many may wait; who comes then is refused. */
  readonly waiting: number
  /** How long one may wait for its turn, or for another instance, in ms, before it is refused. */
  readonly longestWaitMs: number
  /** How long an instance that died keeps others from a thumbnail, in ms. */
  readonly leaseMs?: number
}

/** A thumbnail, with its bytes where they are few and it was made just now: nobody has to read them again. */
export interface GotThumbnail extends ThumbnailRecord {
  readonly bytes?: Buffer
}

/** A thumbnail that is not there. */
export interface Missing {
  /** Stands for it and for the options that it is made under: who has the same may share. */
  readonly work: string
  /** Looks whether it is stored by now. */
  readonly find: () => Promise<GotThumbnail | undefined>
  readonly make: (signal: AbortSignal) => Promise<GotThumbnail>
}

const LEASE_MS = 10_000
/** Hints may get lost between instances; this often those who wait look for themselves. */
const LOOK_AGAIN_MS = 1000
/** Who has waited for this many others in vain makes it whatever further ones do. */
const WAITS = 2
const RETRY_MS = 2000
/** What comes of the file and the options: no other instance would fare better. */
const LASTING: readonly Reason[] = ['not_thumbnailable', 'too_large']

/**
 * Has each thumbnail made once, however many ask for it, on however many instances. Within this process they share the work;
 * between instances, which share a PostgreSQL, a lease decides who makes it, and the others wait (docs/decisions/031).
 */
export class ThumbnailMaking {
  readonly #parts: MakingParts
  readonly #options: MakingOptions
  readonly #queue: WorkQueue
  readonly #underWay = new SharedWork<GotThumbnail>()

  constructor(parts: MakingParts, options: MakingOptions) {
    this.#parts = parts
    this.#options = options
    this.#queue = new WorkQueue({ ...options, retryMs: RETRY_MS, what: 'thumbnails are being made' })
  }

  /**
   * The thumbnail, made by this call or by an earlier one, here or at another instance. Whoever leaves only stops waiting; when
   * the last one here has left, the work is stopped, or its place in the queue given up.
   *
   * @throws Refused what `make` is refused, here or at the other instance; `limited` when too many wait, or this one for too long
   * @throws {CallerGone} once `signal` aborts
   */
  async once(missing: Missing, signal: AbortSignal): Promise<GotThumbnail> {
    return await this.#underWay.run(missing.work, signal, (all) => this.#take(missing, all))
  }

  async #take(missing: Missing, signal: AbortSignal): Promise<GotThumbnail> {
    if (this.#parts.db.engine === 'sqlite') {
      return await this.#queue.run(signal, () => missing.make(signal))
    }
    const lease = nameOf(missing.work)
    for (let attempt = 1; ; attempt++) {
      const isAlone = attempt > WAITS
      const taken = await this.#queue.run(signal, () =>
        isAlone ? makeNow(missing, signal) : this.#makeUnder(lease, missing, signal),
      )
      if (taken.outcome === 'done') return taken.result
      const record = await this.#waitForOther(lease, missing, signal)
      if (record) return record
    }
  }

  /** Who loses the lease in the middle waits for whoever has it now, as all others do. */
  async #makeUnder(lease: string, missing: Missing, signal: AbortSignal): Promise<Leased<GotThumbnail>> {
    try {
      const options = { ms: this.#options.leaseMs ?? LEASE_MS, signal }
      return await withLease(this.#parts, lease, options, (_, held) => this.#makeAndTell(lease, missing, held))
    } catch (error) {
      if (error instanceof LeaseLost) return { outcome: 'busy' }
      throw error
    }
  }

  async #makeAndTell(lease: string, { find, make }: Missing, signal: AbortSignal): Promise<GotThumbnail> {
    // Others may have had the lease until a moment ago.
    const made = await find()
    if (made) return made
    try {
      const record = await make(signal)
      this.#tell({ lease })
      return record
    } catch (error) {
      if (error instanceof Refused && LASTING.includes(error.reason)) {
        this.#tell({ lease, refused: { reason: error.reason, message: error.message } })
      }
      throw error
    }
  }

  #tell(outcome: Outcome): void {
    this.#parts.notifier.notify('thumbnails', JSON.stringify(outcome))
  }

  /** What another instance makes, once it is stored; undefined when that one is not at it any more. */
  async #waitForOther(lease: string, { find }: Missing, signal: AbortSignal): Promise<GotThumbnail | undefined> {
    const { db, notifier } = this.#parts
    const { longestWaitMs } = this.#options
    let refused: Outcome['refused']
    const concerns = (message: string) => {
      const outcome = readOutcome(message)
      if (outcome?.lease !== lease) return false
      refused = outcome.refused
      return true
    }
    const patience = AbortSignal.timeout(longestWaitMs)
    using hints = hintsOf(notifier, 'thumbnails', concerns, AbortSignal.any([signal, patience]))
    let waitedFor: string | undefined
    for (;;) {
      // The lease before the record: what is stored in between is then found.
      const holder = await holderOf(db.read, lease)
      const record = await find()
      if (record) return record
      waitedFor ??= holder
      if (holder === undefined || holder !== waitedFor) return undefined
      if (patience.aborted) throw tooLate(longestWaitMs)
      await hints.next(LOOK_AGAIN_MS)
      signal.throwIfAborted()
      if (refused) throw new Refused(refused.reason, refused.message)
    }
  }
}

/** What came of a thumbnail: it is stored, or refused. */
interface Outcome {
  readonly lease: string
  readonly refused?: { readonly reason: Reason; readonly message: string }
}

function readOutcome(message: string): Outcome | undefined {
  const outcome = JSON.parse(message) as Outcome
  const { refused } = outcome
  return refused && !LASTING.includes(refused.reason) ? undefined : outcome
}

async function makeNow({ make }: Missing, signal: AbortSignal): Promise<Leased<GotThumbnail>> {
  return { outcome: 'done', result: await make(signal) }
}

/** Short, whatever the options are. */
function nameOf(work: string): string {
  return `thumbnail ${createHash('sha256').update(work).digest('hex')}`
}

function tooLate(ms: number): Refused {
  const message = `Another instance has been making this thumbnail for ${ms} ms; try again later`
  return new Refused('limited', message, { retryAfterMs: RETRY_MS })
}
