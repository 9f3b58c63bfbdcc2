import type { ObjectCache } from '../datastores/cache.ts'
import type { Datastores } from '../datastores/datastores.ts'
import {
  type ByteRange,
  ObjectMissing,
  type OpenObject,
  type Presented,
  type RedirectRules,
} from '../datastores/datastore.ts'
import type { MediaRecord } from '../db/media.ts'
import { Refused } from '../lib/errors.ts'
import type { Mxc } from '../matrix/ids.ts'
import { findObject, type ObjectState, type StoredObject } from '../db/objects.ts'
import type { Log } from '../lib/log.ts'
import type { Context } from './context.ts'
import { isMarkedLost, type LostObjects, placeOf } from './lost.ts'
import { type PendingParts, waitForUpload } from './pending.ts'
import type { Fetched } from './shared-fetch.ts'
import type { RemoteMedia } from './remote.ts'
import { waitFor } from '../lib/shared-work.ts'
import { isBlockedName } from '../db/remote.ts'
import type { Reads } from './reads.ts'
import type { Records } from './records.ts'
import { otherSize } from './verify.ts'

export interface DownloadParts extends Pick<PendingParts, 'db' | 'notifier' | 'clock'> {
  readonly cache: ObjectCache
  readonly reads: Reads
  readonly records: Pick<Records, 'find' | 'kept'>
  /** Whether a cache of this process has the bytes of an object. Absent: there is no such cache. */
  readonly isCached?: (object: StoredObject) => boolean
  readonly lost: Pick<LostObjects, 'isWorthAsking' | 'noteMissing' | 'noteFound'>
  readonly remote: Pick<RemoteMedia, 'fetch' | 'isOurs'>
}

export interface Wanted extends Mxc {
  /** Finds out whether the caller proves who it is, as authenticated media demand (MSC3916). Asked only where it matters. */
  readonly isAuthenticated: () => Promise<boolean>
  /** What `federation.ignoredHosts` and `onlyHosts` hide: also what is here already. */
  readonly isHostAllowed: (serverName: string) => boolean
  /** Repository administrators may also see that. */
  readonly seesHiddenHosts: () => Promise<boolean>
  /** How long to wait for content that was announced by `create`, in ms. */
  readonly timeoutMs: number
  /** Whether a file of another server that is not here may be fetched from there. Absent: it may not. */
  readonly mayFetch?: boolean
  /** An administrator who wants to see it although it is quarantined. */
  readonly seesQuarantined?: boolean
}

/** What decides once more whether the caller may have it. */
export type Watched = Pick<Wanted, 'origin' | 'mediaId' | 'seesQuarantined'>

/** Some media that the caller may have. */
export type Found = Fetched

/**
 * Some media that the caller may have: found, waited for, or fetched from its origin. Every access rule is applied here and
 * nowhere else, so that downloads, thumbnails, HEAD, ranges and conditional requests cannot differ.
 */
export async function findOrFetch(parts: DownloadParts, ctx: Context, wanted: Wanted): Promise<Found> {
  if (!wanted.isHostAllowed(wanted.origin)) await refuseHiddenHost(wanted)
  const { origin, mediaId } = wanted
  const found = parts.records.kept(origin, mediaId) ?? (await parts.records.find(origin, mediaId))
  if (found) return await allowed(parts, wanted, found, () => fetchLost(parts, ctx, wanted, found))
  if (!parts.remote.isOurs(origin)) return await fetchUnknown(parts, ctx, wanted)
  const uploaded = await waitForUpload(parts, ctx, wanted, wanted.timeoutMs)
  if (!uploaded) throw notFound()
  return await allowed(parts, wanted, uploaded)
}

/** The same, when all of it is here. */
export async function findAllowed(parts: DownloadParts, ctx: Context, wanted: Wanted): Promise<MediaRecord> {
  return await whole(await findOrFetch(parts, ctx, wanted), ctx)
}

/** The record of what was found, once all of it is here. */
export async function whole(found: Found, ctx: Pick<Context, 'signal'>): Promise<MediaRecord> {
  return found.kind === 'stored' ? found.record : await waitFor(found.stored, ctx.signal)
}

async function allowed(
  parts: DownloadParts,
  wanted: Wanted,
  record: MediaRecord,
  otherwise: () => Promise<Found> = async () => ({ kind: 'stored', record }),
): Promise<Found> {
  if (record.authenticatedAt !== null && !(await wanted.isAuthenticated())) throw authenticationNeeded()
  if (record.quarantinedAt !== null && !wanted.seesQuarantined) throw quarantined()
  parts.reads.note(record)
  return isMarkedLost(record) ? await otherwise() : { kind: 'stored', record }
}

/**
 * Decides once more, by what the database has now, about media that the caller was allowed a while ago: nobody is to get what was
 * quarantined or deleted while a thumbnail was made, a homeserver was asked, or a datastore was slow.
 *
 * @throws {Refused} `quarantined`, `not_found`
 */
export async function refuseIfChanged(parts: Pick<DownloadParts, 'records'>, wanted: Watched): Promise<void> {
  const record = await parts.records.find(wanted.origin, wanted.mediaId)
  if (!record) throw notFound()
  if (record.quarantinedAt !== null && !wanted.seesQuarantined) throw quarantined()
}

/**
 * Media of another server that nobody here has asked for. What would be for authenticated callers only once it is here is not
 * fetched for others (MSC3916).
 */
async function fetchUnknown(parts: DownloadParts, ctx: Context, wanted: Wanted): Promise<Found> {
  if (!wanted.mayFetch) throw notFound()
  if (ctx.homeserver.freezeUnauthenticatedMedia && !(await wanted.isAuthenticated())) throw authenticationNeeded()
  if (await isBlockedName(parts.db.read, wanted)) throw quarantined()
  const fetched = await parts.remote.fetch(ctx, wanted)
  return fetched.kind === 'stored' ? await allowed(parts, wanted, fetched.record) : fetched
}

/** Media of another server whose bytes were lost here: it may still have them. */
async function fetchLost(parts: DownloadParts, ctx: Context, wanted: Wanted, record: MediaRecord): Promise<Found> {
  if (record.kind !== 'remote' || !wanted.mayFetch) return { kind: 'stored', record }
  try {
    const fetched = await parts.remote.fetch(ctx, wanted)
    return fetched.kind === 'stored' ? await allowed(parts, wanted, fetched.record) : fetched
  } catch (error) {
    // They may have come back by themselves, as with a disk that is mounted again.
    if (error instanceof Refused && parts.lost.isWorthAsking(record)) return { kind: 'stored', record }
    throw error
  }
}

const notFound = () => new Refused('not_found', 'Not found')
const quarantined = () => new Refused('quarantined', 'Not found')
const authenticationNeeded = () =>
  new Refused('authentication_needed', 'authentication is required to download this media')

async function refuseHiddenHost(wanted: Wanted): Promise<void> {
  if (!(await wanted.seesHiddenHosts())) throw new Refused('blocked_host', 'Media blocked or not found')
}

/**
 * Where the client gets an object without us; undefined, at once, where its datastore gives no address, the administrator's
 * rules do not allow it, or a cache of ours sends the bytes sooner. Nobody looks whether the object is there
 * (docs/decisions/010).
 */
export function linkTo(
  parts: { readonly datastores: Pick<Datastores, 'link'> } & Pick<DownloadParts, 'isCached'>,
  object: StoredObject,
  present: () => Presented,
  allowed: (rules: RedirectRules) => boolean,
): Promise<URL | undefined> | undefined {
  const sentSooner = (rules: RedirectRules) => !rules.whenCached && (parts.isCached?.(object) ?? false)
  return parts.datastores.link(object, present, (rules) => allowed(rules) && !sentSooner(rules))
}

/** Where objects are opened: their datastores, or the cache in front of them. */
export interface OpeningParts extends Pick<DownloadParts, 'db' | 'lost'> {
  readonly datastores: { open(object: StoredObject, part?: ByteRange): Promise<OpenObject> }
}

/** An object's bytes, and where they were found. */
export interface FoundObject {
  readonly object: StoredObject
  readonly opened: OpenObject
}

/**
 * Opens the bytes of a record, to read `part` of them if it is given. Bytes that are gone are `not_found` for the caller, and
 * an error in the log. Those known to be gone are not even asked for, most of the time.
 */
export async function openObject(
  parts: OpeningParts,
  ctx: { readonly log: Log },
  object: StoredObject & Partial<ObjectState>,
  part?: ByteRange,
): Promise<OpenObject> {
  return (await findBytes(parts, ctx, object, part)).opened
}

/** As `openObject`, and says where the bytes are: they may have moved to another datastore since the record was read. */
export async function findBytes(
  parts: OpeningParts,
  ctx: { readonly log: Log },
  object: StoredObject & Partial<ObjectState>,
  part?: ByteRange,
): Promise<FoundObject> {
  refuseLost(parts, ctx, object)
  try {
    const opened = await openWhole(parts, object, part)
    if (isMarkedLost(object)) parts.lost.noteFound(object)
    return { object, opened }
  } catch (error) {
    if (!(error instanceof ObjectMissing)) throw error
    const now = await findObject(parts.db.read, object.sha256)
    // Deleted a moment ago: nobody lost it.
    if (!now) throw new Refused('not_found', 'Not found', { cause: error })
    const isElsewhere = now.datastore !== object.datastore || now.location !== object.location
    if (isElsewhere) return await findBytes(parts, ctx, now, part)
    if (!isMarkedLost(object)) {
      ctx.log.error({ err: error, sha256: object.sha256 }, 'an object is lost; uploading the same file again heals it')
    }
    parts.lost.noteMissing(object)
    throw new Refused('not_found', 'Not found', { cause: error })
  }
}

/** Throws `not_found` for bytes that are known to be gone: also what could be answered without them is not (HEAD, 304). */
export function refuseLost(
  { lost }: Pick<DownloadParts, 'lost'>,
  ctx: { readonly log: Log },
  object: StoredObject & Partial<ObjectState>,
): void {
  if (!isMarkedLost(object) || lost.isWorthAsking(object)) return
  ctx.log.info({ ...placeOf(object), lostAt: object.lostAt }, 'asked for an object that is marked as lost')
  throw new Refused('not_found', 'Not found')
}

/** Opens what has the size that the record says; anything else is not the object. */
async function openWhole(
  { datastores }: Pick<OpeningParts, 'datastores'>,
  object: StoredObject,
  part: ByteRange | undefined,
): Promise<OpenObject> {
  const opened = await datastores.open(object, part)
  if (opened.size === object.size) return opened
  await opened[Symbol.asyncDispose]()
  throw new ObjectMissing(object.datastore, object.location, {
    cause: new Error(`the file ${otherSize(opened.size, object.size)}`),
  })
}
