import { sql } from '#kysely'
import { holdsLease, type Lease } from './leases.ts'
import { isBlockedContent } from './media.ts'
import { type OfferedObject, settleObject, type StoredObject, deleteUnusedObject } from './objects.ts'
import { compiled, type Queryable, unit } from './query.ts'
import { countName } from './usage.ts'

/** Whose preview of what: one address looks different to each homeserver (its options) and in each language. */
export interface PreviewKey {
  readonly homeserver: string
  /** SHA-256 of the address. */
  readonly urlHash: string
  readonly language: string
}

/** One row: what a page was like in one hour. */
export interface PreviewRow extends PreviewKey {
  /** When the hour began, in ms since 1970. */
  readonly hour: number
}

export interface RecordedPicture {
  readonly mediaId: string
  readonly sha256: string
  /** Nobody may have it. */
  readonly quarantined: boolean
}

export interface PreviewRecord {
  /** JSON, without what depends on the picture; null: there is none. */
  readonly answer: string | null
  /** JSON: why there is none. */
  readonly error: string | null
  /** When the hour that it is of began, in ms since 1970. */
  readonly hour: number
  readonly createdAt: number
  /** When somebody last asked for it, or else when it was made. */
  readonly usedAt: number
  /** Until when it is answered without another look, in ms since 1970. */
  readonly expiresAt: number
  /** Its picture; null: it has none, or none any more. */
  readonly picture: RecordedPicture | null
}

/** The preview that may be answered at `now` without another look at the page. */
export const findFresh = async (
  db: Queryable,
  { homeserver, urlHash, language, now }: PreviewKey & { readonly now: number },
): Promise<PreviewRecord | undefined> => first(await freshPreviews(db, { homeserver, urlHash, language, now }))

const freshPreviews = compiled((db, of: PreviewKey & { now: number }) =>
  previewsOf(db, of).where('previews.expires_at', '>', of.now).orderBy('previews.hour', 'desc').limit(1),
)

/**
 * The stored preview that shows the page as it was in an hour of the past: the last from then or before, if it still held in that
 * hour; else the first from after it. Failures are not among them.
 */
export async function findPast(
  db: Queryable,
  { homeserver, urlHash, language, hour }: PreviewKey & { readonly hour: number },
): Promise<PreviewRecord | undefined> {
  const of = { homeserver, urlHash, language, hour }
  return first(await previewsUntil(db, of)) ?? first(await previewsAfter(db, of))
}

const previewsUntil = compiled((db, of: PreviewKey & { hour: number }) =>
  previewsOf(db, of)
    .where('previews.answer', 'is not', null)
    .where('previews.hour', '<=', of.hour)
    .where('previews.expires_at', '>', of.hour)
    .orderBy('previews.hour', 'desc')
    .limit(1),
)

const previewsAfter = compiled((db, of: PreviewKey & { hour: number }) =>
  previewsOf(db, of)
    .where('previews.answer', 'is not', null)
    .where('previews.hour', '>', of.hour)
    .orderBy('previews.hour')
    .limit(1),
)

const lastUse = sql<number>`coalesce(previews.accessed_at, previews.created_at)`

/** Notes when previews were last asked for. */
export const touchPreviews = unit(
  'touchPreviews',
  async (tx, used: readonly (PreviewRow & { readonly at: number })[]) => {
    // In one order everywhere, so that two instances cannot lock each other out.
    for (const one of used.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))) await setUsed(tx, one)
  },
)

const nameOf = ({ homeserver, urlHash, language, hour }: PreviewRow) => [homeserver, urlHash, language, hour].join(' ')

const setUsed = compiled((tx, row: PreviewRow & { readonly at: number }) =>
  tx
    .updateTable('previews')
    .set({ accessed_at: row.at })
    .where('homeserver', '=', row.homeserver)
    .where('url_hash', '=', row.urlHash)
    .where('language', '=', row.language)
    .where('hour', '=', row.hour)
    .where(lastUse, '<', row.at),
)

/** With the content of its picture, unless that is gone. */
const previewsOf = (db: Queryable, { homeserver, urlHash, language }: PreviewKey) =>
  db
    .selectFrom('previews')
    .leftJoin('media', (join) =>
      join.onRef('media.origin', '=', 'previews.homeserver').onRef('media.media_id', '=', 'previews.picture'),
    )
    .select([
      'previews.answer as answer',
      'previews.error as error',
      'previews.hour as hour',
      'previews.created_at as createdAt',
      lastUse.as('usedAt'),
      'previews.expires_at as expiresAt',
      'media.media_id as mediaId',
      'media.sha256 as sha256',
      'media.quarantined_at as quarantinedAt',
    ])
    .where('previews.homeserver', '=', homeserver)
    .where('previews.url_hash', '=', urlHash)
    .where('previews.language', '=', language)

interface Row extends Omit<PreviewRecord, 'picture'> {
  readonly mediaId: string | null
  readonly sha256: string | null
  readonly quarantinedAt: number | null
}

function first([row]: readonly Row[]): PreviewRecord | undefined {
  if (!row) return undefined
  const { mediaId, sha256, quarantinedAt, ...record } = row
  const isThere = mediaId !== null && sha256 !== null
  return { ...record, picture: isThere ? { mediaId, sha256, quarantined: quarantinedAt !== null } : null }
}

/** A picture that was put and has no name yet. */
export interface OfferedPicture {
  /** Its name, if the homeserver has no preview with the same picture. */
  readonly mediaId: string
  readonly contentType: string
  /** Only authenticated callers may have it. */
  readonly authenticated: boolean
  readonly object: OfferedObject
}

export interface CommittedPreview extends PreviewKey {
  readonly url: string
  readonly site: string
  readonly answer: string | null
  readonly error: string | null
  readonly previewer: string | null
  readonly picture: OfferedPicture | null
  readonly createdAt: number
  readonly expiresAt: number
  /** Under which it was made; null: nobody else can make it. */
  readonly lease: Lease | null
}

export type PreviewResult =
  | { readonly outcome: 'stored'; readonly object?: StoredObject }
  /** One of this hour stands already. */
  | { readonly outcome: 'known' }
  /** The picture is quarantined here: nothing was kept. */
  | { readonly outcome: 'blocked' }
  | { readonly outcome: 'object_gone' }
  /** Another instance makes it now. */
  | { readonly outcome: 'lease_lost' }

const HOUR_MS = 3_600_000

/** When the hour of a time began. */
export const hourOf = (at: number): number => at - (at % HOUR_MS)

/** The one short transaction of a preview: names its picture, and writes it down in the place of a failure of the same hour. */
export const commitPreview = unit('commitPreview', async (tx, preview: CommittedPreview): Promise<PreviewResult> => {
  const { homeserver, urlHash, language, lease, picture, createdAt } = preview
  if (lease && !(await holdsLease(tx, lease))) return { outcome: 'lease_lost' }
  const hour = hourOf(createdAt)
  if ((await sameHour(tx, { homeserver, urlHash, language, hour })).length > 0) return { outcome: 'known' }
  const named = picture ? await namePicture(tx, homeserver, picture, createdAt) : undefined
  if (named && 'outcome' in named) return named
  await upsertPreview(tx, { ...preview, hour, pictureId: named?.mediaId ?? null })
  return named ? { outcome: 'stored', object: named.object } : { outcome: 'stored' }
})

const sameHour = compiled((tx, of: PreviewKey & { hour: number }) =>
  tx
    .selectFrom('previews')
    .select('hour')
    .where('homeserver', '=', of.homeserver)
    .where('url_hash', '=', of.urlHash)
    .where('language', '=', of.language)
    .where('hour', '=', of.hour)
    .where('answer', 'is not', null),
)

const upsertPreview = compiled((tx, row: CommittedPreview & { hour: number; pictureId: string | null }) => {
  const found = {
    answer: row.answer,
    error: row.error,
    previewer: row.previewer,
    picture: row.pictureId,
    created_at: row.createdAt,
    expires_at: row.expiresAt,
    accessed_at: null,
  }
  return tx
    .insertInto('previews')
    .values({
      homeserver: row.homeserver,
      url_hash: row.urlHash,
      language: row.language,
      hour: row.hour,
      url: row.url,
      site: row.site,
      ...found,
    })
    .onConflict((conflict) => conflict.columns(['homeserver', 'url_hash', 'language', 'hour']).doUpdateSet(found))
})

interface NamedPicture {
  readonly mediaId: string
  readonly object: StoredObject
}

/** The homeserver's name for a picture: one for all its previews that show it. */
async function namePicture(
  tx: Queryable,
  origin: string,
  { mediaId, contentType, authenticated, object: offered }: OfferedPicture,
  at: number,
): Promise<NamedPicture | { readonly outcome: 'object_gone' | 'blocked' }> {
  // Blocked content that was lost does not come back.
  if (offered.replaces && (await isBlockedContent(tx, offered.sha256))) return { outcome: 'blocked' }
  // Locked from here on: whoever removes the last preview of the same picture came before, or finds this one.
  const object = await settleObject(tx, offered, at)
  if (!object) return { outcome: 'object_gone' }
  const { sha256 } = object
  if (await isBlockedContent(tx, sha256)) {
    if (object.isNew) await deleteUnusedObject(tx, sha256, at)
    return { outcome: 'blocked' }
  }
  const [known] = object.isNew ? [] : await picturesOf(tx, { origin, sha256 })
  if (known) return { mediaId: known.mediaId, object }
  const authenticatedAt = authenticated ? at : null
  await insertPicture(tx, { origin, mediaId, sha256, contentType, at, authenticatedAt })
  const change = { changeId: `${mediaId} ${at}`, bytes: object.size, files: 1 }
  await countName(tx, { origin, kind: 'preview', uploader: null, createdAt: at }, change)
  return { mediaId, object }
}

const picturesOf = compiled((tx, of: { origin: string; sha256: string }) =>
  tx
    .selectFrom('media')
    .select('media_id as mediaId')
    .where('sha256', '=', of.sha256)
    .where('uploader', 'is', null)
    .where('origin', '=', of.origin)
    .where('kind', '=', 'preview')
    .limit(1),
)

interface PictureRow {
  readonly origin: string
  readonly mediaId: string
  readonly sha256: string
  readonly contentType: string
  readonly at: number
  readonly authenticatedAt: number | null
}

const insertPicture = compiled((tx, row: PictureRow) =>
  tx.insertInto('media').values({
    origin: row.origin,
    media_id: row.mediaId,
    sha256: row.sha256,
    kind: 'preview',
    content_type: row.contentType,
    upload_name: null,
    uploader: null,
    created_at: row.at,
    accessed_at: row.at,
    authenticated_at: row.authenticatedAt,
  }),
)
