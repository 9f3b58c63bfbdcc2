import { setImmediate as turn } from 'node:timers/promises'
import type { Datastore, ObjectDescription } from '../datastores/datastore.ts'
import { GrowingFile } from '../datastores/growing-file.ts'
import type { StagedFile } from '../datastores/staging.ts'
import { commitJudgedFetched } from '../db/judged.ts'
import type { Lease } from '../db/leases.ts'
import { findMedia, type MediaRecord } from '../db/media.ts'
import { canBeBlocked, commitFetched, type FetchedResult, type SizeRange } from '../db/remote.ts'
import { LeaseLost } from '../db/with-lease.ts'
import { free } from '../lib/buffers.ts'
import { Refused, StorageUnavailable } from '../lib/errors.ts'
import { downloaded, type EventParts } from '../lib/events.ts'
import type { Place } from '../lib/work-queue.ts'
import type { RemoteBody, RemoteWish } from '../matrix/federation.ts'
import type { Mxc } from '../matrix/ids.ts'
import { RemoteMediaError } from '../matrix/remote-error.ts'
import { type ByteLimitParts, type Charge, chargeFetch, type Payer } from './byte-limit.ts'
import { chooseDatastore } from './choose.ts'
import { afterRemoteJudged, asCommitted, judgeRemote } from './judged.ts'
import { isMarkedLost } from './lost.ts'
import { storeObject } from './objects.ts'
import { asRefusal, RemoteFileRefused } from './remote-failures.ts'
import type { FetchProgress } from './shared-fetch.ts'
import { fetchShared, type FetchingHomeserver, type SharedRemoteParts } from './shared-remote.ts'

/** By then most servers have answered that are going to. */
const LENT_AFTER_MS = 1000

export interface RemoteFetchParts extends SharedRemoteParts, ByteLimitParts {
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly federationClient: {
    /** `homeserver` asks `origin` for a file. */
    fetch(homeserver: string, origin: string, wish: RemoteWish): Promise<RemoteBody>
  }
}

/** One fetch, as whoever does it sees it. */
export interface FetchJob {
  readonly mxc: Mxc
  /** Who asks: whose key signs, whose limits and datastores count. */
  readonly homeserver: FetchingHomeserver
  /** Who is charged for what has to be fetched. */
  readonly payer: Payer
  /** Undefined where nobody else can fetch it at the same time. */
  readonly lease: Lease | undefined
  /** Its place among the files that are fetched at the same time. */
  readonly place: Place
  /** How long the origin may wait for a file that is announced and not there yet, in ms. */
  readonly timeoutMs: number
  /** How long nothing may come, in ms. */
  readonly idleMs: number
  readonly progress: Pick<FetchProgress, 'answered' | 'arrives' | 'got'>
  readonly signal: AbortSignal
}

export interface FetchResult {
  readonly record: MediaRecord
  /** It comes from its origin just now. */
  readonly isFetched: boolean
}

/**
 * Has a file of another server recorded and stored here: found, taken from another repository, or fetched from its origin. The
 * lease is held meanwhile.
 *
 * @throws {RemoteMediaError} when its origin does not give it
 * @throws {RemoteFileRefused} when it came, and must not be had
 * @throws {Unavailable} when it cannot be stored
 */
export async function fetchOnce(parts: RemoteFetchParts, job: FetchJob): Promise<FetchResult> {
  const { mxc } = job
  const known = await findMedia(parts.db.read, mxc.origin, mxc.mediaId)
  // Others had the lease until a moment ago.
  if (known && !isMarkedLost(known)) return { record: known, isFetched: false }
  const shared = known ? undefined : await fetchShared(parts, job)
  if (shared) return { record: shared, isFetched: false }
  const began = parts.clock.now()
  const record = await fetchFromOrigin(parts, job, known)
  const { origin, mediaId, size: bytes } = record
  downloaded(parts.events, { origin, mediaId, bytes, durationMs: parts.clock.now() - began })
  return { record, isFetched: true }
}

/** An answer that has begun. */
interface Coming {
  readonly remote: RemoteBody
  readonly charge: Charge
}

async function fetchFromOrigin(
  parts: RemoteFetchParts,
  job: FetchJob,
  lost: MediaRecord | undefined,
): Promise<MediaRecord> {
  const { homeserver, payer, progress } = job
  await chargeFetch(parts, payer, undefined)
  const datastore = await chooseDatastore(parts, 'remote_media', homeserver.datastores)
  const growing = new GrowingFile()
  const asked = ask(parts, job, { lost, growing })
  asked.catch(() => {})
  try {
    // The file is made while the origin is asked; the question has left by the next turn.
    await turn()
    const options = { maxBytes: homeserver.downloads.maxBytes, growing }
    await using staged = await datastore.stage(bytesOf(asked, progress), options)
    const { contentType, fileName } = (await asked).remote
    const record = await store(parts, job, { staged, datastore, contentType, fileName })
    growing.finish()
    return record
  } catch (error) {
    const told = asRemoteError(error, job.mxc)
    growing.fail(asRefusal(told))
    throw told
  } finally {
    const coming = await asked.catch(() => undefined)
    coming?.remote.body.destroy()
  }
}

interface Expected {
  /** The record whose bytes were lost, where there is one. */
  readonly lost: MediaRecord | undefined
  /** What is going to come. */
  readonly growing: GrowingFile
}

/**
 * Asks the origin, and tells those who wait that the file comes. Lost content is looked at before anybody gets it: it has to be
 * what it was.
 */
async function ask(parts: RemoteFetchParts, job: FetchJob, { lost, growing }: Expected): Promise<Coming> {
  const { mxc, homeserver, payer, progress, timeoutMs, idleMs, signal } = job
  const { maxBytes } = homeserver.downloads
  const wish = { mediaId: mxc.mediaId, timeoutMs, maxBytes, idleMs, signal }
  // Servers that are gone would keep others waiting: no answer comes for as long as it takes to give up on them.
  const remote = await job.place.lend(LENT_AFTER_MS, parts.federationClient.fetch(homeserver.name, mxc.origin, wish))
  try {
    const charge = await chargeFetch(parts, payer, remote.size ?? remote.about?.atLeast)
    const isHeld = lost !== undefined || parts.gates.holdsRemote || (await canBeBlocked(parts.db.read, sizesOf(remote)))
    growing.announce(remote.size, remote.about?.atLeast)
    const { contentType, fileName } = remote
    if (isHeld) progress.answered()
    else progress.arrives({ contentType, fileName, growing })
    return { remote, charge }
  } catch (error) {
    remote.body.destroy()
    throw error
  }
}

/** Each chunk is gone when the next one is asked for. */
async function* bytesOf(asked: Promise<Coming>, progress: FetchJob['progress']): AsyncGenerator<Uint8Array> {
  const { remote, charge } = await asked
  const expected = remote.size ?? remote.about?.atMost ?? 0
  let received = 0
  try {
    for await (const chunk of remote.body) {
      received += chunk.length
      if (expected > 0) progress.got(received / expected)
      yield chunk
      free(chunk)
    }
  } finally {
    charge.charge(received)
  }
}

/** What is known of the size before it has come: exactly, or by the envelope's. */
function sizesOf({ size, about }: RemoteBody): SizeRange | undefined {
  return size === undefined ? about : { atLeast: size, atMost: size }
}

interface Received extends ObjectDescription {
  readonly staged: StagedFile
  readonly datastore: Datastore
  readonly fileName: string | null
}

async function store(parts: RemoteFetchParts, job: FetchJob, received: Received): Promise<MediaRecord> {
  const { staged, datastore, contentType, fileName } = received
  const { mxc, homeserver, lease, signal } = job
  const { origin, mediaId } = mxc
  const media = {
    origin,
    mediaId,
    contentType,
    uploadName: fileName,
    createdAt: parts.clock.now(),
    authenticated: homeserver.freezeUnauthenticatedMedia,
    lease,
  }
  const judgement = await judgeRemote(parts, { ...media, staged, homeserver: homeserver.name, signal })
  const result = await storeObject(parts, staged, { datastore, contentType }, (object) =>
    judgement.reports.length === 0
      ? parts.db.write(commitFetched, { ...media, object })
      : parts.db.write(commitJudgedFetched, { media: { ...media, object }, ...asCommitted(judgement) }),
  )
  await afterRemoteJudged(parts, { origin, mediaId, sha256: staged.sha256 }, judgement, result)
  refuseUnlessStored(result, staged.sha256)
  const record = await findMedia(parts.db.read, mxc.origin, mxc.mediaId)
  // Deleted or quarantined in this very moment.
  if (!record || record.quarantinedAt !== null) throw new Refused('not_found', 'Not found')
  return record
}

function refuseUnlessStored({ outcome }: FetchedResult, sha256: string): void {
  switch (outcome) {
    case 'stored':
    case 'known':
      return
    case 'blocked':
    case 'other_content':
      throw new RemoteFileRefused(outcome, sha256)
    case 'deleted':
      throw new Refused('not_found', 'Not found')
    case 'lease_lost':
      throw new LeaseLost('another instance took the file over before it was stored')
    case 'object_gone':
      throw new StorageUnavailable('the file could not be stored in time; please try again', { retryAfterMs: 1000 })
    default:
      throw new Error(`unexpected outcome ${outcome}`)
  }
}

/** What `stage` says of too many bytes, and of too few, is meant for who uploads. */
function asRemoteError(error: unknown, { origin, mediaId }: Mxc): unknown {
  if (!(error instanceof Refused)) return error
  const what = `mxc://${origin}/${mediaId}: ${error.message}`
  if (error.reason === 'too_large') return new RemoteMediaError('too_large', what, { cause: error })
  if (error.reason === 'length_mismatch') return new RemoteMediaError('broken', what, { cause: error })
  return error
}
