import type { Datastore } from '../datastores/datastore.ts'
import type { StagedFile, StageOptions } from '../datastores/staging.ts'
import type { Database } from '../db/connect.ts'
import type { Lease } from '../db/leases.ts'
import { siteOf } from '../db/preview-purges.ts'
import { commitJudgedMedia } from '../db/judged.ts'
import { findMedia } from '../db/media.ts'
import { addReports } from '../db/reports.ts'
import { type CommittedPreview, commitPreview, type OfferedPicture } from '../db/previews.ts'
import { LeaseLost } from '../db/with-lease.ts'
import type { Clock } from '../lib/clock.ts'
import { StorageUnavailable } from '../lib/errors.ts'
import { type EventParts, urlPreviewed } from '../lib/events.ts'
import type { Log } from '../lib/log.ts'
import { previewFailed, previewPictureBlocked } from '../lib/preview-events.ts'
import { chooseDatastore } from '../media/choose.ts'
import type { Judgement } from '../media/gates/gates.ts'
import { afterJudged, asCommitted, type JudgingParts } from '../media/judged.ts'
import { type ObjectParts, storeObject } from '../media/objects.ts'
import type { Mxc } from '../matrix/ids.ts'
import { type PictureFacts, previewOf } from './answer.ts'
import { failureOf, keptForMs } from './failure.ts'
import { lookAt, type Looked, type LookParts } from './look.ts'
import { measurePicture } from './measure.ts'
import { type FetchedPicture, fetchPicture, type PictureOptions } from './picture.ts'
import { shorten } from './text.ts'
import type { WantedPreview } from './wanted.ts'

export interface MakeParts extends LookParts, ObjectParts, JudgingParts {
  readonly db: Pick<Database, 'engine' | 'read' | 'write'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly log: Log
  readonly newMediaId: () => string
}

/**
 * Makes a preview and writes it down, or that there is none.
 *
 * @throws Refused `not_found`, `limited`
 * @throws {LeaseLost} when another instance has begun to make it
 */
export async function makePreview(
  parts: MakeParts,
  wanted: WantedPreview,
  lease: Lease | null,
  signal: AbortSignal,
): Promise<void> {
  const began = parts.clock.now()
  try {
    await using looked = await lookAt(parts, { ...wanted, language: wanted.key.language, signal })
    const isEmpty = await storeLooked(parts, wanted, looked, { lease, signal })
    const type = isEmpty ? 'none' : looked.type
    urlPreviewed(parts.events, { type, url: wanted.url.href, durationMs: parts.clock.now() - began })
  } catch (error) {
    const failure = failureOf(error)
    if (!failure) throw error
    previewFailed(parts.events, { url: wanted.url.href, ...failure })
    const expiresAt = began + keptForMs(failure)
    await commit(parts, wanted, { lease, error: JSON.stringify(failure), createdAt: began, expiresAt })
    throw error
  }
}

interface Making {
  readonly lease: Lease | null
  readonly signal: AbortSignal
}

/** Gives whether there is nothing in it. */
async function storeLooked(
  parts: MakeParts,
  wanted: WantedPreview,
  looked: Looked,
  { lease, signal }: Making,
): Promise<boolean> {
  const { draft, type, freshForMs } = looked
  const datastore = await datastoreFor(parts, wanted)
  await using picture = await pictureOf(parts, wanted, looked, datastore, signal)
  const createdAt = parts.clock.now()
  const row = { lease, previewer: type, createdAt, expiresAt: createdAt + freshForMs }
  const previewWith = (facts?: PictureFacts) => previewOf(draft, limitsOf(wanted), facts)
  if (picture) {
    const { staged, contentType } = picture
    const answer = JSON.stringify(previewWith(picture))
    if (await storeWith(parts, wanted, { staged, contentType, datastore, signal }, { ...row, answer })) return false
    previewPictureBlocked(parts.events, { url: wanted.url.href })
  }
  const preview = previewWith()
  await commit(parts, wanted, { ...row, answer: JSON.stringify(preview) })
  return Object.keys(preview).length === 0
}

/** Pictures of previews can be had again, as media of other servers can. */
async function datastoreFor(parts: MakeParts, { homeserver: { datastores } }: WantedPreview): Promise<Datastore> {
  const isForRemote = parts.datastores.candidates('remote_media', datastores).length > 0
  return await chooseDatastore(parts, isForRemote ? 'remote_media' : 'local_media', datastores)
}

async function pictureOf(
  parts: MakeParts,
  { homeserver, key: { language } }: WantedPreview,
  { draft, picture }: Looked,
  datastore: Datastore,
  signal: AbortSignal,
): Promise<FetchedPicture | undefined> {
  const stage = (source: AsyncIterable<Uint8Array>, options: StageOptions) => datastore.stage(source, options)
  if (picture) {
    const { contentType, width, height, size } = picture
    const staged = await stage(picture.bytes(), { maxBytes: 0, expectedBytes: size })
    return { contentType, width, height, size, staged, [Symbol.asyncDispose]: () => staged[Symbol.asyncDispose]() }
  }
  const measure = (path: string, options: PictureOptions['thumbnails'], until: AbortSignal) =>
    measurePicture(parts, path, options, until)
  return await fetchPicture({ ...parts, stage, lookAt: measure }, homeserver, draft.pictures ?? [], {
    language,
    signal,
  })
}

interface ReceivedPicture {
  readonly staged: StagedFile
  readonly contentType: string
  readonly datastore: Datastore
  readonly signal: AbortSignal
}

/** Gives false for a picture that must not be had here. */
async function storeWith(
  parts: MakeParts,
  wanted: WantedPreview,
  received: ReceivedPicture,
  row: Partial<CommittedPreview> & Stored,
): Promise<boolean> {
  const { staged, contentType, datastore, signal } = received
  const named = { origin: wanted.homeserver.name, mediaId: parts.newMediaId() }
  const from = { homeserver: wanted.homeserver.name, uploader: null, address: null, uploadName: null }
  const judgement = await parts.gates.judge({ ...named, ...from, kind: 'preview', staged, contentType, signal })
  if (judgement.action === 'reject') return false
  if (judgement.action === 'quarantine') return await keepQuarantined(parts, wanted, received, { named, judgement })
  const authenticated = wanted.homeserver.freezeUnauthenticatedMedia
  const { outcome } = await storeObject(parts, staged, { datastore, contentType }, (object) => {
    const offered: OfferedPicture = { mediaId: named.mediaId, contentType, authenticated, object }
    return parts.db.write(commitPreview, committed(wanted, { ...row, picture: offered }))
  })
  if (outcome === 'blocked') return false
  refuseUnlessStored(outcome)
  if (judgement.reports.length > 0) await reportPicture(parts, { named, judgement }, staged.sha256)
  return true
}

interface JudgedPicture {
  readonly named: Mxc
  readonly judgement: Judgement
}

/** For administrators to look at; the preview goes without it. */
async function keepQuarantined(
  parts: MakeParts,
  { homeserver }: WantedPreview,
  { staged, contentType, datastore }: ReceivedPicture,
  { named, judgement }: JudgedPicture,
): Promise<false> {
  const createdAt = parts.clock.now()
  const about = { kind: 'preview', contentType, uploadName: null, uploader: null, reserved: false } as const
  const authenticated = homeserver.freezeUnauthenticatedMedia
  const result = await storeObject(parts, staged, { datastore, contentType }, (object) => {
    const media = { ...named, ...about, createdAt, authenticated, object }
    return parts.db.write(commitJudgedMedia, { media, ...asCommitted(judgement) })
  })
  const { sha256 } = staged
  if ('object' in result) await afterJudged(parts, { ...named, sha256, judgement, names: result.names })
  return false
}

/** Where the same picture was here already, under another name, it has been judged. */
async function reportPicture(parts: MakeParts, { named, judgement }: JudgedPicture, sha256: string): Promise<void> {
  if (!(await findMedia(parts.db.read, named.origin, named.mediaId))) return
  await parts.db.write(addReports, { reports: judgement.reports })
  await afterJudged(parts, { ...named, sha256, judgement, names: 0 })
}

type Stored = Pick<CommittedPreview, 'lease' | 'createdAt' | 'expiresAt'>

async function commit(parts: MakeParts, wanted: WantedPreview, row: Partial<CommittedPreview> & Stored): Promise<void> {
  const { outcome } = await parts.db.write(commitPreview, committed(wanted, row))
  refuseUnlessStored(outcome)
}

function committed({ key, url }: WantedPreview, row: Partial<CommittedPreview> & Stored): CommittedPreview {
  const what = { url: url.href, site: siteOf(url.hostname) }
  return { ...key, ...what, answer: null, error: null, previewer: null, picture: null, ...row }
}

function refuseUnlessStored(outcome: string): void {
  if (outcome === 'stored' || outcome === 'known') return
  if (outcome === 'lease_lost') throw new LeaseLost('another instance took the preview over before it was stored')
  throw new StorageUnavailable('the picture of the preview could not be stored in time; please try again', {
    retryAfterMs: 1000,
  })
}

function limitsOf({ homeserver }: WantedPreview) {
  const { numWords, maxLength, numTitleWords, maxTitleLength } = homeserver.urlPreviews
  return {
    title: (text: string) => shorten(text, { words: numTitleWords, characters: maxTitleLength }),
    description: (text: string) => shorten(text, { words: numWords, characters: maxLength }),
  }
}
