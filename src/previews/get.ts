import { createHash } from 'node:crypto'
import { isLeased, type Lease } from '../db/leases.ts'
import { findFresh, findPast, type PreviewKey, type PreviewRecord } from '../db/previews.ts'
import { LeaseLost, type Leased, withLease } from '../db/with-lease.ts'
import { hintsOf } from '../coordination/hints.ts'
import type { Notifier } from '../coordination/notifier.ts'
import { Refused } from '../lib/errors.ts'
import type { SharedWork } from '../lib/shared-work.ts'
import type { FairWorkQueue } from '../lib/work-queue.ts'
import { formatMxc } from '../matrix/ids.ts'
import type { Context } from '../media/context.ts'
import { LOOK_AGAIN_MS } from '../media/pending.ts'
import type { Reads } from '../media/reads.ts'
import { answered, type Preview } from './answer.ts'
import { type PreviewFailure, refusal } from './failure.ts'
import { hasPreviews } from './fetch.ts'
import type { KeptPreviews, Outcome } from './kept.ts'
import type { MakeParts } from './make.ts'
import { type AskedPreview, pastHour, type WantedPreview, wantedOf } from './wanted.ts'

export interface PreviewParts extends MakeParts {
  readonly notifier: Notifier
  readonly keptPreviews: KeptPreviews
  readonly reads: Reads
  /** Keyed by host. */
  readonly previewQueue: FairWorkQueue
  /** Previews being made, by what they are of. */
  readonly previewsUnderWay: SharedWork<PreviewRecord>
  /** Makes a text that nobody else has. */
  readonly newToken: () => string
}

/** A preview, and until when it may be answered again as it is, in ms since 1970. */
export interface Previewed {
  readonly preview: Preview
  readonly until: number
}

/** How long an instance that died keeps others from a page, in ms. */
const LEASE_MS = 10_000
/** Of somebody whose turn comes after others who did not end well. */
const ATTEMPTS = 3

/**
 * The preview of a page: one that is kept, or stored, or is made now, once for everybody who asks for it at the same time, on
 * whatever instance. A page that says nothing gives an empty one.
 *
 * @throws Refused `unrecognized` where there are no previews; `bad_parameter`; `not_found` for pages that cannot be had;
 * `limited` when too many are being made
 */
export async function getPreview(parts: PreviewParts, ctx: Context, asked: AskedPreview): Promise<Previewed> {
  const { homeserver } = ctx
  if (!hasPreviews(homeserver.urlPreviews))
    throw new Refused('unrecognized', 'URL previews are switched off on this server')
  const now = parts.clock.now()
  const hour = pastHour(asked, now)
  // As the client wrote them: bringing them into one form costs as much as everything else here.
  const name = `${homeserver.name} ${hour ?? ''} ${asked.acceptLanguage ?? ''} ${asked.url}`
  const kept = parts.keptPreviews.get(name, now)
  if (kept) return told(parts, kept)
  const wanted = wantedOf(homeserver, asked)
  refuseDisallowed(parts, wanted)
  const keep = parts.keptPreviews.reading()
  const found = await find(parts, wanted.key, hour, now)
  const outcome = outcomeOf(wanted, found ?? (await makeShared(parts, ctx, wanted)))
  // What was made took long enough for others to have purged it.
  if (found) keep(name, outcome)
  return told(parts, outcome)
}

/** Also what was made before the option forbade it. */
function refuseDisallowed({ previewDoors }: PreviewParts, { homeserver, url }: WantedPreview): void {
  const pattern = previewDoors.for(homeserver.urlPreviews).patternAgainst(url)
  if (pattern !== undefined) throw refusal()
}

function told({ reads }: Pick<PreviewParts, 'reads'>, outcome: Outcome): Previewed {
  if ('failure' in outcome) throw refusal()
  reads.notePreview(outcome.row, outcome.usedAt)
  return { preview: outcome.preview, until: outcome.until }
}

async function find(
  { db }: Pick<PreviewParts, 'db'>,
  key: PreviewKey,
  hour: number | undefined,
  now: number,
): Promise<PreviewRecord | undefined> {
  if (hour === undefined) return await findFresh(db.read, { ...key, now })
  const past = await findPast(db.read, { ...key, hour })
  if (past) return { ...past, expiresAt: Math.max(past.expiresAt, now + LOOK_BACK_MS) }
  // Nobody has looked since: then now has to do.
  return await findFresh(db.read, { ...key, now })
}

/** How long what is found of the past may be kept: it does not change, but it may be purged. */
const LOOK_BACK_MS = 300_000

function outcomeOf({ homeserver, key }: WantedPreview, record: PreviewRecord): Outcome {
  const { answer, error, picture, hour, usedAt, expiresAt: until } = record
  const of = { row: { ...key, hour }, usedAt, until }
  if (answer === null) return { ...of, failure: JSON.parse(error ?? '{}') as PreviewFailure }
  const isShown = picture !== null && !picture.quarantined
  const mxc = isShown ? formatMxc({ origin: homeserver.name, mediaId: picture.mediaId }) : undefined
  return { ...of, preview: answered(JSON.parse(answer) as Preview, mxc), picture: picture?.sha256 }
}

/** On this instance everybody waits for the same work; between instances a lease decides who does it. */
async function makeShared(parts: PreviewParts, ctx: Context, wanted: WantedPreview): Promise<PreviewRecord> {
  const { homeserver, urlHash, language } = wanted.key
  const name = `preview ${createHash('sha256')
    .update(JSON.stringify([homeserver, urlHash, language]))
    .digest('hex')}`
  return await parts.previewsUnderWay.run(name, ctx.signal, (signal) => makeOnce(parts, wanted, name, signal))
}

async function makeOnce(
  parts: PreviewParts,
  wanted: WantedPreview,
  name: string,
  signal: AbortSignal,
): Promise<PreviewRecord> {
  for (let attempt = 1; ; attempt++) {
    const leased = await parts.previewQueue
      .run(wanted.url.hostname, signal, () =>
        underLease(parts, name, signal, (lease, held) => make(parts, wanted, lease, held)),
      )
      .catch((error: unknown) => standAside(error, attempt))
    if (leased.outcome === 'done') {
      parts.notifier.notify('previewed', name)
      return leased.result
    }
    const record = await waitForOther(parts, wanted, name, signal)
    if (record) return record
  }
}

/** Who loses the lease waits for whoever has it now. */
function standAside(error: unknown, attempt: number): Leased<never> {
  if (error instanceof LeaseLost && attempt < ATTEMPTS) return { outcome: 'busy' }
  throw error
}

/** SQLite is for one server: nobody else is there to agree with. */
async function underLease<Result>(
  parts: PreviewParts,
  name: string,
  signal: AbortSignal,
  work: (lease: Lease | null, signal: AbortSignal) => Promise<Result>,
): Promise<Leased<Result>> {
  if (parts.db.engine === 'sqlite') return { outcome: 'done', result: await work(null, signal) }
  return await withLease(parts, name, { ms: LEASE_MS, signal }, work)
}

/** What others made until a moment ago, or else what is made now. Failures are read back as well: all are told the same. */
async function make(
  parts: PreviewParts,
  wanted: WantedPreview,
  lease: Lease | null,
  signal: AbortSignal,
): Promise<PreviewRecord> {
  const known = await findNow(parts, wanted)
  if (known) return known
  try {
    // What reads pages is loaded with the first of them: servers whose users ask for no previews are to stay small.
    const { makePreview } = await import('./make.ts')
    await makePreview(parts, wanted, lease, signal)
  } catch (error) {
    const failed = error instanceof Refused && error.reason === 'not_found' ? await findNow(parts, wanted) : undefined
    if (failed) return failed
    throw error
  }
  const made = await findNow(parts, wanted)
  if (made) return made
  // Purged in this very moment.
  throw refusal()
}

function findNow({ db, clock }: Pick<PreviewParts, 'db' | 'clock'>, { key }: WantedPreview) {
  return findFresh(db.read, { ...key, now: clock.now() })
}

/** What another instance makes, once it is stored; undefined when nobody is at it any more. */
async function waitForOther(
  parts: PreviewParts,
  wanted: WantedPreview,
  name: string,
  signal: AbortSignal,
): Promise<PreviewRecord | undefined> {
  using hints = hintsOf(parts.notifier, 'previewed', (message) => message === name, signal)
  for (;;) {
    // The lease before the record: what is stored in between is then found.
    const isBusy = await isLeased(parts.db.read, name)
    const record = await findNow(parts, wanted)
    if (record) return record
    if (!isBusy) return undefined
    await hints.next(LOOK_AGAIN_MS)
    signal.throwIfAborted()
  }
}
