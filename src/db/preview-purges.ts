import { sql } from '#kysely'
import { deleteNames, type Name } from './deletion.ts'
import { lockObject, type StoredObject } from './objects.ts'
import type { PreviewKey } from './previews.ts'
import { compiled, type Queryable, unit } from './query.ts'

/** Which previews. Each that is given has to hold. */
export interface PreviewFilter {
  /** SHA-256 of their address. */
  readonly urlHash?: string | undefined
  /** The host, or one that theirs is below, as `siteOf` gives it. */
  readonly site?: string | undefined
  /** Made before this, in ms since 1970. */
  readonly before?: number | undefined
  /** Nobody has asked for them since then. Pictures then stay that are quarantined, or that somebody has downloaded since. */
  readonly unusedSince?: number | undefined
}

/** One row: a preview, or why there was none. */
export interface ListedPreview extends PreviewKey {
  readonly hour: number
  readonly url: string
  readonly answer: string | null
  readonly error: string | null
  readonly previewer: string | null
  readonly picture: string | null
  readonly createdAt: number
  readonly expiresAt: number
}

/** The labels of a host the other way round, each with a dot: what is below a domain begins with what this gives for it. */
export function siteOf(hostname: string): string {
  const name = hostname.replace(/\.$/, '').toLowerCase()
  // Addresses are no names: nothing is below them.
  const isAddress = name.startsWith('[') || /^[\d.]+$/.test(name)
  return `${isAddress ? name : name.split('.').toReversed().join('.')}.`
}

/** Previews, the latest first. */
export function listPreviews(
  db: Queryable,
  filter: PreviewFilter,
  { from, limit }: { readonly from: number; readonly limit: number },
): Promise<ListedPreview[]> {
  return filtered(db, filter)
    .select([
      'homeserver',
      'url_hash as urlHash',
      'language',
      'hour',
      'url',
      'answer',
      'error',
      'previewer',
      'picture',
      'created_at as createdAt',
      'expires_at as expiresAt',
    ])
    .orderBy('created_at', 'desc')
    .orderBy('url_hash')
    .orderBy('homeserver')
    .orderBy('language')
    .limit(limit)
    .offset(from)
    .execute()
}

/** How many there are. */
export async function countPreviews(db: Queryable, filter: PreviewFilter): Promise<number> {
  const [row] = await filtered(db, filter)
    .select(sql<number>`cast(count(*) as bigint)`.as('count'))
    .execute()
  return row?.count ?? 0
}

function filtered(db: Queryable, { urlHash, site, before, unusedSince }: PreviewFilter) {
  return db
    .selectFrom('previews')
    .$if(urlHash !== undefined, (query) => query.where('url_hash', '=', urlHash ?? ''))
    .$if(site !== undefined, (query) => query.where('site', '>=', site ?? '').where('site', '<', after(site ?? '')))
    .$if(before !== undefined, (query) => query.where('created_at', '<', before ?? 0))
    .$if(unusedSince !== undefined, (query) =>
      query.where(sql<number>`coalesce(accessed_at, created_at)`, '<', unusedSince ?? 0),
    )
}

/** The first text that does not begin with a site, which ends with a dot: the slash comes next. */
const after = (site: string) => `${site.slice(0, -1)}/`

export interface PurgedPreviews {
  /** Rows that were removed. */
  readonly removed: number
  /** The content of pictures that no preview shows any more; their names are gone. */
  readonly pictures: readonly string[]
  /** Objects that nothing refers to any more: handed over for deletion, their bytes may go once this is committed. */
  readonly unused: readonly StoredObject[]
}

/** Removes up to `limit` previews with the pictures that only they showed. Fewer removed than that: there are no more. */
export const purgePreviews = unit(
  'purgePreviews',
  async (tx, { filter, at, limit }: { filter: PreviewFilter; at: number; limit: number }): Promise<PurgedPreviews> => {
    const rows = await filtered(tx, filter)
      .select(['homeserver', 'url_hash', 'language', 'hour', 'picture'])
      .limit(limit)
      .execute()
    // The content first, as commits do it, and in one order everywhere, so that nobody waits for the other for ever.
    const pictures = await lockPictures(tx, rows)
    let removed = 0
    for (const { homeserver, url_hash: urlHash, language, hour } of rows) {
      const gone = await deletePreview(tx, { homeserver, urlHash, language, hour })
      removed += gone.length
    }
    const unused: StoredObject[] = []
    const unseen: string[] = []
    for (const { origin, mediaId, sha256 } of pictures) {
      if ((await previewsWith(tx, { origin, mediaId })).length > 0) continue
      const rules = filter.unusedSince === undefined ? {} : { quarantined: false, unusedSince: filter.unusedSince }
      const gone = await deleteNames.run(tx, { names: [{ origin, mediaId }], rules, at })
      if (gone.deleted.length === 0) continue
      unseen.push(sha256)
      unused.push(...gone.unused)
    }
    return { removed, pictures: unseen, unused }
  },
)

/** How many previews nobody has asked for since `before`, counted up to `limit`. */
export async function countUnusedPreviews(
  db: Queryable,
  { before, limit }: { readonly before: number; readonly limit: number },
): Promise<{ readonly count: number }> {
  const some = filtered(db, { unusedSince: before }).select('hour').limit(limit)
  const { count } = await db
    .selectFrom(some.as('some'))
    .select(sql<number>`cast(count(*) as bigint)`.as('count'))
    .executeTakeFirstOrThrow()
  return { count }
}

/** Those of some pictures that a preview shows. */
export const shownPictures = (db: Queryable, names: readonly Name[]): Promise<Name[]> =>
  db
    .selectFrom('previews')
    .select(['homeserver as origin', sql<string>`picture`.as('mediaId')])
    .distinct()
    .where(
      'picture',
      'in',
      names.map(({ mediaId }) => mediaId),
    )
    .execute()

/** Removes up to `limit` failures that were answered until `before`, and gives how many: nobody is told of them again. */
export const sweepFailedPreviews = unit(
  'sweepFailedPreviews',
  async (tx, { before, limit }: { before: number; limit: number }): Promise<number> => {
    const rows = await tx
      .selectFrom('previews')
      .select(['homeserver', 'url_hash as urlHash', 'language', 'hour'])
      .where('answer', 'is', null)
      .where('expires_at', '<', before)
      .limit(limit)
      .execute()
    // One that was made anew meanwhile is no failure any more.
    for (const row of rows) await deleteFailure(tx, row)
    return rows.length
  },
)

interface Picture {
  readonly origin: string
  readonly mediaId: string
  readonly sha256: string
}

async function lockPictures(
  tx: Queryable,
  rows: readonly { readonly homeserver: string; readonly picture: string | null }[],
): Promise<readonly Picture[]> {
  const named = new Map<string, Picture>()
  for (const { homeserver: origin, picture: mediaId } of rows) {
    if (mediaId === null) continue
    const [content] = await contentOf(tx, { origin, mediaId })
    if (content) named.set(`${origin}/${mediaId}`, { origin, mediaId, sha256: content.sha256 })
  }
  const inOrder = [...named.values()].toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1))
  for (const { sha256 } of inOrder) await lockObject(tx, { sha256 })
  return inOrder
}

type RowKey = PreviewKey & { readonly hour: number }

const contentOf = compiled((tx, name: { origin: string; mediaId: string }) =>
  tx.selectFrom('media').select('sha256').where('origin', '=', name.origin).where('media_id', '=', name.mediaId),
)

const previewsWith = compiled((tx, name: { origin: string; mediaId: string }) =>
  tx
    .selectFrom('previews')
    .select('hour')
    .where('picture', '=', name.mediaId)
    .where('homeserver', '=', name.origin)
    .limit(1),
)

const rowOf = (tx: Queryable, key: RowKey) =>
  tx
    .deleteFrom('previews')
    .where('homeserver', '=', key.homeserver)
    .where('url_hash', '=', key.urlHash)
    .where('language', '=', key.language)
    .where('hour', '=', key.hour)

const deletePreview = compiled((tx, key: RowKey) => rowOf(tx, key).returning('hour'))

const deleteFailure = compiled((tx, key: RowKey) => rowOf(tx, key).where('answer', 'is', null))
