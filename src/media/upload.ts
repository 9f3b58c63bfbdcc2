import type { Notifier } from '../coordination/notifier.ts'
import type { StagedFile } from '../datastores/staging.ts'
import type { Database } from '../db/connect.ts'
import { commitJudgedMedia } from '../db/judged.ts'
import { type CommitResult, type CommittedMedia, commitMedia } from '../db/media.ts'
import { type ReservationState, reservationState } from '../db/pending.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import type { EventParts } from '../lib/events.ts'
import { userIdOf } from '../matrix/caller.ts'
import { formatMxc, type Mxc } from '../matrix/ids.ts'
import { chooseDatastore } from './choose.ts'
import type { Context } from './context.ts'
import type { Judgement } from './gates/gates.ts'
import { afterJudged, asCommitted, type JudgingParts } from './judged.ts'
import { type ObjectParts, storeObject } from './objects.ts'
import { limitsFor, overQuota, refuseOverQuota } from './quota.ts'

export interface UploadParts extends ObjectParts, JudgingParts {
  readonly db: Pick<Database, 'read' | 'write' | 'ready'>
  readonly notifier: Notifier
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly clock: Clock
  readonly newMediaId: () => string
}

/** Content on its way in, and what its sender says of it. */
export interface Incoming {
  readonly body: AsyncIterable<Uint8Array>
  /** `Content-Length`, where there is one. */
  readonly expectedBytes: number | undefined
  readonly contentType: string
  /** Without path; null when none was given. */
  readonly uploadName: string | null
}

/** What an upload became. */
export interface Uploaded extends Mxc {
  readonly size: number
  readonly sha256: string
}

/**
 * Receives a user's upload under a new media id, or under the one that the same user got for the same bytes and name before
 * (MMR behaviour). When it resolves, bytes and record are on stable storage.
 */
export async function receive(parts: UploadParts, ctx: Context, incoming: Incoming): Promise<Uploaded> {
  return await receiveAs(parts, ctx, incoming, { mediaId: parts.newMediaId(), reserved: false })
}

/** Receives the content of a media id that `create` gave to the same user. Source: specification, "PUT upload". */
export async function fill(
  parts: UploadParts,
  ctx: Context,
  mediaId: string,
  incoming: () => Incoming,
): Promise<Uploaded> {
  const wanted = { origin: ctx.homeserver.name, mediaId, uploader: userIdOf(ctx.caller) ?? null }
  // Asked before the body is looked at: that an id is taken must win over whatever may be wrong with the upload.
  refuseUnlessOpen(await reservationState(parts.db.read, wanted, parts.clock.now()))
  return await receiveAs(parts, ctx, incoming(), { mediaId, reserved: true })
}

async function receiveAs(
  parts: UploadParts,
  ctx: Context,
  incoming: Incoming,
  as: { readonly mediaId: string; readonly reserved: boolean },
): Promise<Uploaded> {
  const began = parts.clock.now()
  const { homeserver } = ctx
  refuseBySize(incoming.expectedBytes, homeserver.uploads)
  // Known outages are told before the body is read.
  await parts.db.ready()
  await refuseOverQuota(parts, ctx, incoming.expectedBytes ?? homeserver.uploads.minBytes)
  const datastore = await chooseDatastore(parts, 'local_media', homeserver.datastores)
  await using staged = await datastore.stage(incoming.body, {
    maxBytes: homeserver.uploads.maxBytes,
    expectedBytes: incoming.expectedBytes,
  })
  refuseBySize(staged.size, homeserver.uploads)
  // What is over its limit need not be judged, nor be put into a bucket first.
  if (incoming.expectedBytes === undefined) await refuseOverQuota(parts, ctx, staged.size)
  const media = {
    origin: homeserver.name,
    mediaId: as.mediaId,
    reserved: as.reserved,
    kind: 'upload',
    contentType: incoming.contentType,
    uploadName: incoming.uploadName,
    uploader: userIdOf(ctx.caller) ?? null,
    createdAt: began,
    authenticated: homeserver.freezeUnauthenticatedMedia,
  } as const
  const { address, signal } = ctx
  const judgement = await parts.gates.judge({ ...media, staged, homeserver: homeserver.name, address, signal })
  if (judgement.action === 'reject') throw blocked(judgement.told)
  const result = await storeObject(parts, staged, { datastore, contentType: incoming.contentType }, (object) =>
    commit(parts, { ...media, object, limits: limitsFor(ctx), committedAt: parts.clock.now() }, judgement),
  )
  if (result.outcome === 'over_limit') throw overQuota(parts, ctx, result.excess)
  const uploaded = finish(parts, homeserver.name, staged, result)
  if (judgement.reports.length > 0) await afterJudged(parts, { ...uploaded, judgement, names: result.names ?? 0 })
  // It is kept for administrators to look at; whoever sent it is told the same as if it were not.
  if (judgement.action === 'quarantine') throw blocked(judgement.told)
  return uploaded
}

/** What gates had something to say of is committed together with it. */
async function commit(
  parts: UploadParts,
  media: CommittedMedia,
  judgement: Judgement,
): Promise<CommitResult & { readonly names?: number }> {
  if (judgement.reports.length === 0) return await parts.db.write(commitMedia, media)
  return await parts.db.write(commitJudgedMedia, { media, ...asCommitted(judgement) })
}

interface SizeLimits {
  readonly maxBytes: number
  readonly minBytes: number
}

function refuseBySize(size: number | undefined, { maxBytes, minBytes }: SizeLimits): void {
  if (size === undefined) return
  if (maxBytes > 0 && size > maxBytes) throw new Refused('too_large', `files may have ${maxBytes} bytes at most`)
  if (size < minBytes) throw new Refused('too_small', `files must have ${minBytes} bytes at least`)
}

const blocked = (why = 'this content is not allowed here') => new Refused('forbidden', why)

function finish(
  parts: UploadParts,
  origin: string,
  staged: StagedFile,
  result: Exclude<CommitResult, { outcome: 'over_limit' }>,
): Uploaded {
  switch (result.outcome) {
    case 'stored':
    case 'existing': {
      const { mediaId } = result
      parts.notifier.notify('uploaded', formatMxc({ origin, mediaId }))
      return { origin, mediaId, size: staged.size, sha256: staged.sha256 }
    }
    case 'blocked':
      throw blocked()
    case 'deleted':
      throw new Refused('not_found', 'Media expired or not found.')
    case 'object_gone':
      throw new Refused('storage_unavailable', 'the content was deleted while it was uploaded; please try again')
    default:
      refuseUnlessOpen(result.outcome)
      throw new Error(`unexpected outcome ${result.outcome}`)
  }
}

function refuseUnlessOpen(state: ReservationState): void {
  switch (state) {
    case 'open':
      return
    case 'already_uploaded':
      throw new Refused('already_uploaded', 'This media has already been uploaded.')
    case 'other_uploader':
      throw new Refused('forbidden', 'You do not have permission to upload this media.')
    case 'expired':
    case 'not_reserved':
      throw new Refused('not_found', 'Media expired or not found.')
  }
}
