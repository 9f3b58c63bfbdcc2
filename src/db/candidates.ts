import { type RawBuilder, sql } from '#kysely'
import { compiled, type Queryable } from './query.ts'
import type { MediaKind } from './schema.ts'

/**
 * Media that may have to go, in pages: by last use, by age, because they are quarantined. Each page is a stretch of one index
 * (migration 0007), read from where the page before ended: it costs the same among ten thousand media and among ten million.
 * Whatever else decides (a type, a size, who uploaded it) is looked up for each name: as a condition of the query it would have to
 * pass over any number of rows.
 */
export interface Candidate {
  readonly origin: string
  readonly mediaId: string
  /** The time that the pages are ordered by: of last use, of creation, of quarantine; ms since 1970. */
  readonly at: number
}

/** Before the first page. */
export const START: Candidate = { at: 0, origin: '', mediaId: '' }

export interface Page {
  /** Only media whose time is before this, in ms since 1970. */
  readonly before: number
  /** The last of the page before. */
  readonly after: Candidate
  readonly limit: number
}

type Flat<Of> = Candidate & Of & { readonly before: number; readonly limit: number }

const lastUse = sql<number>`coalesce(media.accessed_at, media.created_at)`

/** One kind of media, the least recently used (or else made) first; without what is quarantined. */
export const leastRecentlyUsed = (
  db: Queryable,
  { after, ...of }: Page & { readonly kind: MediaKind },
): Promise<Candidate[]> => byLastUse(db, { ...of, ...after })

const byLastUse = compiled((db, of: Flat<{ kind: MediaKind }>) =>
  pageBy(db, lastUse, of).where('media.kind', '=', of.kind).where('media.quarantined_at', 'is', null),
)

/** All media of one server, the oldest first. */
export const oldest = (
  db: Queryable,
  { after, origin: server, ...of }: Page & { readonly origin: string },
): Promise<Candidate[]> => byAge(db, { ...of, ...after, server })

const byAge = compiled((db, of: Flat<{ server: string }>) =>
  pageBy(db, sql.ref<number>('media.created_at'), of).where('media.origin', '=', of.server),
)

/** What one user uploaded, the oldest first. */
export const uploadsOf = (
  db: Queryable,
  { after, ...of }: Page & { readonly uploader: string },
): Promise<Candidate[]> => byUploader(db, { ...of, ...after })

const byUploader = compiled((db, of: Flat<{ uploader: string }>) =>
  pageBy(db, sql.ref<number>('media.created_at'), of).where('media.uploader', '=', of.uploader),
)

/** What is quarantined, in the order in which it came to be. */
export const quarantined = (db: Queryable, { after, ...of }: Page): Promise<Candidate[]> =>
  byQuarantine(db, { ...of, ...after })

const byQuarantine = compiled((db, of: Flat<unknown>) =>
  pageBy(db, sql.ref<number>('media.quarantined_at'), of).where('media.quarantined_at', 'is not', null),
)

const pageBy = (db: Queryable, time: RawBuilder<number>, { at, origin, mediaId, before, limit }: Flat<unknown>) =>
  db
    .selectFrom('media')
    .select(['media.origin as origin', 'media.media_id as mediaId', time.as('at')])
    .where(time, '<', before)
    // Said once more for SQLite, which does not find an expression's index by the comparison of rows.
    .where(time, '>=', at)
    // One comparison of rows, not several joined by OR: for those PostgreSQL takes what is left to be so little that it reads and
    // sorts all of it.
    .where(sql<boolean>`(${time}, media.origin, media.media_id) > (${at}, ${origin}, ${mediaId})`)
    .orderBy(time)
    .orderBy('media.origin')
    .orderBy('media.media_id')
    .limit(limit)
