import type { Lease } from '../db/leases.ts'
import { siteOf } from '../db/preview-purges.ts'
import { type CommittedPreview, commitPreview, type OfferedPicture } from '../db/previews.ts'
import type { Database } from '../db/connect.ts'
import { LeaseLost } from '../db/with-lease.ts'
import type { Clock } from '../lib/clock.ts'
import { StorageUnavailable } from '../lib/errors.ts'
import { type EventParts, urlPreviewed } from '../lib/events.ts'
import { previewFailed } from '../lib/preview-events.ts'
import { chooseDatastore } from '../media/choose.ts'
import { type ObjectParts, storeObject } from '../media/objects.ts'
import { type PictureFacts, previewOf } from './answer.ts'
import { failureOf, keptForMs } from './failure.ts'
import type { Draft, Picture } from './preview.ts'
import { shorten } from './text.ts'
import type { WantedPreview } from './wanted.ts'

/** What a look at a page found. */
export interface Looked {
  readonly draft: Draft
  /** How it was found, as the metric calls it; `none`: nothing was found. */
  readonly type: string
  /** How long it holds, in ms. */
  readonly freshForMs: number
  /** The page is such a picture itself, and it has come already. */
  readonly own?: FetchedPicture | undefined
}

/** A picture that was fetched for a preview, on this machine's disk or in memory. */
export interface FetchedPicture extends AsyncDisposable, PictureFacts {
  readonly bytes: () => AsyncIterable<Uint8Array>
}

/** What looks at pages, through the guarded door. */
export interface PreviewSources {
  /** @throws Refused `not_found`, `limited` */
  look(wanted: WantedPreview, signal: AbortSignal): Promise<Looked>
  /** The first of these that can be had; undefined if none can, which is no error. */
  picture(wanted: WantedPreview, pictures: readonly Picture[], signal: AbortSignal): Promise<FetchedPicture | undefined>
}

export interface MakeParts extends ObjectParts {
  readonly db: Pick<Database, 'engine' | 'read' | 'write'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly newMediaId: () => string
  readonly previewSources: PreviewSources
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
    const looked = await parts.previewSources.look(wanted, signal)
    await storeLooked(parts, wanted, looked, lease, signal)
    urlPreviewed(parts.events, { type: looked.type, url: wanted.url.href, durationMs: parts.clock.now() - began })
  } catch (error) {
    const failure = failureOf(error)
    if (!failure) throw error
    previewFailed(parts.events, { url: wanted.url.href, ...failure })
    const expiresAt = began + keptForMs(failure)
    await commit(parts, wanted, { lease, error: JSON.stringify(failure), createdAt: began, expiresAt })
    throw error
  }
}

async function storeLooked(
  parts: MakeParts,
  wanted: WantedPreview,
  looked: Looked,
  lease: Lease | null,
  signal: AbortSignal,
): Promise<void> {
  const { draft, type, freshForMs, own } = looked
  await using picture = own ?? (await parts.previewSources.picture(wanted, draft.pictures ?? [], signal))
  const createdAt = parts.clock.now()
  const row = { lease, previewer: type, createdAt, expiresAt: createdAt + freshForMs }
  const textFor = (facts?: PictureFacts) => JSON.stringify(previewOf(draft, limitsOf(wanted), facts))
  if (picture && (await storeWith(parts, wanted, picture, { ...row, answer: textFor(picture) }))) return
  await commit(parts, wanted, { ...row, answer: textFor() })
}

/** Gives false for a picture that must not be had here. */
async function storeWith(
  parts: MakeParts,
  wanted: WantedPreview,
  picture: FetchedPicture,
  row: Partial<CommittedPreview> & Stored,
): Promise<boolean> {
  const { homeserver } = wanted
  const { contentType, size } = picture
  const datastore = await chooseDatastore(parts, 'remote_media', homeserver.datastores)
  await using staged = await datastore.stage(picture.bytes(), { maxBytes: 0, expectedBytes: size })
  const mediaId = parts.newMediaId()
  const authenticated = homeserver.freezeUnauthenticatedMedia
  const { outcome } = await storeObject(parts, staged, { datastore, contentType }, (object) => {
    const offered: OfferedPicture = { mediaId, contentType, authenticated, object }
    return parts.db.write(commitPreview, committed(wanted, { ...row, picture: offered }))
  })
  if (outcome === 'blocked') return false
  refuseUnlessStored(outcome)
  return true
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
