import { type RawBuilder, sql } from '#kysely'
import { compiled, type Queryable } from './query.ts'
import type { MediaKind } from './schema.ts'

/**
 * Media that may have to go, in pages: by last use, by age, because they are quarantined. Each page walks one index from where
 * the page before ended, so that it costs the same among ten thousand media and among ten million. Whatever else decides (a
 * type, a size, who uploaded it) is looked at in the page, not in the query: that would have to pass over any number of rows.
 */
export interface Candidate {
  readonly origin: string
  readonly mediaId: string
  readonly sha256: string
  readonly size: number
  readonly kind: MediaKind
  readonly contentType: string
  readonly uploader: string | null
  readonly createdAt: number
  /** When it was last read, or else made; ms since 1970. */
  readonly lastUsedAt: number
  readonly quarantinedAt: number | null
}

/** Where a page ended. `at` is the time that the pages are ordered by. */
export interface Place {
  readonly at: number
  readonly origin: string
  readonly mediaId: string
}

/** Before the first page. */
export const START: Place = { at: 0, origin: '', mediaId: '' }

export interface Page {
  /** Only media whose time is before this, in ms since 1970. */
  readonly before: number
  readonly after: Place
  readonly limit: number
}

const lastUse = sql<number>`coalesce(media.accessed_at, media.created_at)`

/**
 * One comparison of rows, not several joined by OR: for those PostgreSQL takes what is left to be so little that it reads and
 * sorts all of it.
 */
const isAfter = (time: RawBuilder<unknown>, { at, origin, mediaId }: Place) =>
  sql<boolean>`(${time}, media.origin, media.media_id) > (${at}, ${origin}, ${mediaId})`

const candidates = (db: Queryable) =>
  db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select([
      'media.origin as origin',
      'media.media_id as mediaId',
      'media.sha256 as sha256',
      'objects.size as size',
      'media.kind as kind',
      'media.content_type as contentType',
      'media.uploader as uploader',
      'media.created_at as createdAt',
      lastUse.as('lastUsedAt'),
      'media.quarantined_at as quarantinedAt',
    ])

/** One kind of media, the least recently used first. */
export const leastRecentlyUsed = (
  db: Queryable,
  { after, ...of }: Page & { readonly kind: MediaKind },
): Promise<Candidate[]> => byLastUse(db, { ...of, ...after })

const byLastUse = compiled((db, of: Place & { kind: MediaKind; before: number; limit: number }) =>
  candidates(db)
    .where('media.kind', '=', of.kind)
    .where(lastUse, '<', of.before)
    // Said once more for SQLite, which does not find the expression's index by the comparison of rows.
    .where(lastUse, '>=', of.at)
    .where(isAfter(lastUse, of))
    .orderBy(lastUse)
    .orderBy('media.origin')
    .orderBy('media.media_id')
    .limit(of.limit),
)

/** All media of one server, the oldest first. */
export const oldest = (
  db: Queryable,
  { after, origin: server, ...of }: Page & { readonly origin: string },
): Promise<Candidate[]> => byAge(db, { ...of, ...after, server })

const byAge = compiled((db, of: Place & { server: string; before: number; limit: number }) =>
  candidates(db)
    .where('media.origin', '=', of.server)
    .where('media.created_at', '<', of.before)
    .where(isAfter(sql.ref('media.created_at'), of))
    .orderBy('media.created_at')
    .orderBy('media.origin')
    .orderBy('media.media_id')
    .limit(of.limit),
)

/** What is quarantined, in the order in which it came to be. */
export const quarantined = (db: Queryable, { after, ...of }: Page): Promise<Candidate[]> =>
  byQuarantine(db, { ...of, ...after })

const byQuarantine = compiled((db, of: Place & { before: number; limit: number }) =>
  candidates(db)
    .where('media.quarantined_at', 'is not', null)
    .where('media.quarantined_at', '<', of.before)
    .where(isAfter(sql.ref('media.quarantined_at'), of))
    .orderBy('media.quarantined_at')
    .orderBy('media.origin')
    .orderBy('media.media_id')
    .limit(of.limit),
)
