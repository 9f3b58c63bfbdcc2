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
}

/**
 * The record of some media that the caller may have, once its content is here: found, or waited for. Every access rule is
 * applied here and nowhere else, so that downloads, thumbnails, HEAD, ranges and conditional requests cannot differ.
 */
export async function findAllowed(parts: DownloadParts, ctx: Context, wanted: Wanted): Promise<MediaRecord> {
  if (!wanted.isHostAllowed(wanted.origin)) await refuseHiddenHost(wanted)
  const { origin, mediaId } = wanted
  const found = parts.records.kept(origin, mediaId) ?? (await parts.records.find(origin, mediaId))
  const record = found ?? (await waitForUpload(parts, ctx, wanted, wanted.timeoutMs))
  if (!record) throw notFound()
  if (record.quarantinedAt !== null) throw notFound()
  if (record.authenticatedAt !== null && !(await wanted.isAuthenticated())) {
    throw new Refused('authentication_needed', 'authentication is required to download this media')
  }
  parts.reads.note(record)
  return record
}

const notFound = () => new Refused('not_found', 'Not found')

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
    const isElsewhere = now && (now.datastore !== object.datastore || now.location !== object.location)
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
  { log }: { readonly log: Log },
  object: StoredObject & Partial<ObjectState>,
): void {
  if (!isMarkedLost(object) || lost.isWorthAsking(object)) return
  log.info({ ...placeOf(object), lostAt: object.lostAt }, 'asked for an object that is marked as lost')
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
