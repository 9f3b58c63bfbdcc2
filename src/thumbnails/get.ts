import { randomUUID } from 'node:crypto'
import { createReadStream, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ByteRange, OpenObject } from '../datastores/datastore.ts'
import type { MediaRecord } from '../db/media.ts'
import type { OfferedObject, StoredObject } from '../db/objects.ts'
import { commitThumbnail, type ThumbnailKey, type ThumbnailRecord, type WantedThumbnail } from '../db/thumbnails.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { type EventParts, thumbnailGenerated } from '../lib/events.ts'
import { chooseDatastore } from '../media/choose.ts'
import type { Context } from '../media/context.ts'
import { type DownloadParts, type OpeningParts, openObject } from '../media/download.ts'
import { isMarkedLost } from '../media/lost.ts'
import { type ObjectParts, storeObject } from '../media/objects.ts'
import type { Records } from '../media/records.ts'
import type { AnimationType, Generated, StillType } from './job.ts'
import type { GotThumbnail, ThumbnailMaking } from './once.ts'
import type { ThumbnailPool } from './pool.ts'
import { type AskedThumbnail, type Plan, planFor } from './plan.ts'
import { decodeStored } from './source.ts'
import { variantOf } from './variants.ts'

const ASK_AGAIN_MS = 1000
const SMALL_BYTES = 256 * 1024

export interface ThumbnailParts extends ObjectParts, Pick<DownloadParts, 'lost' | 'reads'> {
  readonly clock: Clock
  readonly events: EventParts
  readonly records: Pick<Records, 'findThumbnail' | 'keptThumbnail'>
  readonly thumbnailPool: ThumbnailPool
  readonly thumbnailMaking: ThumbnailMaking
  /** Folder for files on their way from the decoder to a datastore. */
  readonly scratch: string
}

/**
 * The thumbnail of some media that the caller was allowed: found, or made once for everybody who asks at the same time.
 * Copies of one content share their thumbnails. `gone` is one that was found and could not be opened: it is made anew.
 *
 * @throws Refused `not_thumbnailable`, `too_large` (`remote_too_large` of other servers' media), or `limited` when too many are being made
 */
export async function getThumbnail(
  parts: ThumbnailParts,
  ctx: Context,
  media: MediaRecord,
  asked: AskedThumbnail,
  gone?: StoredObject,
): Promise<GotThumbnail> {
  const options = ctx.homeserver.thumbnails
  const plan = planFor(options, asked, media.size)
  // A lost one is made anew, and takes the lost one's place.
  const usable = (record: ThumbnailRecord | undefined) =>
    record && !isMarkedLost(record) && !(gone && samePlace(record, gone)) ? record : undefined
  const kept = usable(parts.records.keptThumbnail(media.sha256, plan.look.label))
  if (kept) return noteRead(parts, media, plan, kept)
  const { look, ...kind } = plan
  const wanted = { sourceSha256: media.sha256, ...look }
  const find = async () => usable(await parts.records.findThumbnail(wanted))
  const found = await find()
  if (found) return noteRead(parts, media, plan, found)
  // Options decide what may be decoded, so only requests under the same options share.
  const { types, maxPixels, maxSourceBytes, stillFrame } = options
  const work = JSON.stringify([wanted, types, maxPixels, maxSourceBytes, stillFrame])
  const making = { wanted, ...kind }
  try {
    const missing = { work, find, make: (signal: AbortSignal) => make(parts, ctx, media, making, signal) }
    return await parts.thumbnailMaking.once(missing, ctx.signal)
  } catch (error) {
    throw blamedOnOrigin(error, media)
  }
}

function noteRead(
  { reads }: Pick<ThumbnailParts, 'reads'>,
  { sha256 }: MediaRecord,
  { look }: Plan,
  found: ThumbnailRecord,
): ThumbnailRecord {
  reads.noteThumbnail(sha256, look, found)
  return found
}

/** What is too large counts as its server's doing, where it is another's. Source: specification, "Thumbnails" (413, 502). */
function blamedOnOrigin(error: unknown, { kind }: MediaRecord): unknown {
  if (kind !== 'remote' || !(error instanceof Refused) || error.reason !== 'too_large') return error
  return new Refused('remote_too_large', error.message, { cause: error })
}

/** What is made, and for which request. */
interface Making {
  readonly wanted: WantedThumbnail
  readonly animateAs?: AnimationType
  readonly stillAs?: StillType
}

/**
 * Opens a thumbnail's bytes, or `part` of them. Where they are gone, the thumbnail is made anew.
 *
 * @throws Refused as `getThumbnail`; `not_found` when the source is gone too; `storage_unavailable` when the new one is
 *   another than what the caller was going to send: asking again gets it
 */
export async function openThumbnail(
  parts: ThumbnailParts & { readonly opening: OpeningParts },
  ctx: Context,
  {
    media,
    asked,
    made,
  }: { readonly media: MediaRecord; readonly asked: AskedThumbnail; readonly made: ThumbnailRecord },
  part?: ByteRange,
): Promise<OpenObject> {
  try {
    return await openObject(parts.opening, ctx, made, part)
  } catch (error) {
    if (!(error instanceof Refused) || error.reason !== 'not_found') throw error
    const again = await getThumbnail(parts, ctx, media, asked, made)
    if (again.sha256 === made.sha256 && again.size === made.size)
      return await openObject(parts.opening, ctx, again, part)
    throw new Refused('storage_unavailable', 'This thumbnail was lost and has been made anew; please ask again', {
      cause: error,
      retryAfterMs: ASK_AGAIN_MS,
    })
  }
}

async function make(
  parts: ThumbnailParts,
  ctx: Context,
  media: MediaRecord,
  making: Making,
  signal: AbortSignal,
): Promise<GotThumbnail> {
  const began = parts.clock.now()
  const target = join(parts.scratch, randomUUID())
  using cleanUp = new DisposableStack()
  // Whoever waits for the thumbnail waits for this, too: it takes less than the ways to another thread and back.
  cleanUp.defer(() => rmSync(target, { force: true }))
  const generated = await generate(parts, ctx, media, { ...making, target, signal })
  const { sourceSha256, width, height, method } = making.wanted
  const variant = variantOf(ctx.homeserver.thumbnails, generated, making.stillAs)
  const key: NewKey = { sourceSha256, width, height, method, variant, madeFor: media.origin }
  const record =
    generated.kind === 'original'
      ? await keep(parts, key, generated, { ...media, fresh: false })
      : await store(parts, ctx, key, generated, target)
  thumbnailGenerated(parts.events, {
    origin: media.origin,
    mediaId: media.mediaId,
    width,
    height,
    method,
    animated: generated.motion === 'moving',
    durationMs: parts.clock.now() - began,
  })
  return record
}

async function generate(
  parts: ThumbnailParts,
  ctx: Context,
  media: MediaRecord,
  { wanted, animateAs, stillAs, target, signal }: Making & { readonly target: string; readonly signal: AbortSignal },
): Promise<Generated> {
  const { maxSourceBytes, maxPixels, types, stillFrame } = ctx.homeserver.thumbnails
  const { width, height } = wanted
  const method = wanted.method === 'crop' ? 'crop' : 'scale'
  const job = {
    target,
    width,
    height,
    method,
    limits: { maxSourceBytes, maxPixels },
    types,
    stillFrame,
    ...(animateAs ? { animateAs } : {}),
    ...(stillAs ? { stillAs } : {}),
  } as const
  return await decodeStored(parts, ctx, media, (source) => parts.thumbnailPool.generate({ source, ...job }, signal))
}

/** Which thumbnail, and for whose media. */
type NewKey = ThumbnailKey & { readonly madeFor: string }

async function store(
  parts: ThumbnailParts,
  ctx: Context,
  key: NewKey,
  generated: Generated,
  target: string,
): Promise<GotThumbnail> {
  const datastore = await chooseDatastore(parts, 'thumbnails', ctx.homeserver.datastores)
  const bytes = smallBytes(target, generated)
  const source = bytes ? inOnePiece(bytes) : createReadStream(target)
  await using staged = await datastore.stage(source, { maxBytes: 0, expectedBytes: bytes?.length })
  const { contentType } = generated
  const result = await storeObject(parts, staged, { datastore, contentType, remakeable: true }, (object) =>
    commit(parts, key, generated, object),
  )
  const record = recordOf(parts, key, result, generated)
  return bytes ? { ...record, bytes } : record
}

/** Nearly all are small, and were written a moment ago: reading one takes less than the ways to another thread and back. */
function smallBytes(target: string, generated: Generated): Buffer | undefined {
  return generated.kind === 'thumbnail' && generated.bytes <= SMALL_BYTES ? readFileSync(target) : undefined
}

async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** The original is its own thumbnail; that is written down too, so that it is not decoded again to find out. */
async function keep(
  parts: ThumbnailParts,
  key: NewKey,
  generated: Generated,
  object: OfferedObject,
): Promise<ThumbnailRecord> {
  return recordOf(parts, key, await commit(parts, key, generated, object), generated)
}

function commit(parts: ThumbnailParts, key: NewKey, { contentType }: Generated, object: OfferedObject) {
  const { sha256, size, datastore, location, fresh, replaces } = object
  return parts.db.write(commitThumbnail, {
    ...key,
    contentType,
    createdAt: parts.clock.now(),
    object: { sha256, size, datastore, location, fresh, ...(replaces ? { replaces } : {}) },
  })
}

function recordOf(
  { clock }: Pick<ThumbnailParts, 'clock'>,
  { variant }: ThumbnailKey,
  result: { readonly outcome: string; readonly object?: StoredObject },
  { contentType }: Generated,
): ThumbnailRecord {
  if (!result.object) throw new Refused('not_found', 'the media was deleted while its thumbnail was made')
  return { ...result.object, contentType, variant, usedAt: clock.now() }
}

function samePlace(a: StoredObject, b: StoredObject): boolean {
  return a.datastore === b.datastore && a.location === b.location
}
