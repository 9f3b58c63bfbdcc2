import { type RawBuilder, sql } from '#kysely'
import type { Queryable } from './query.ts'

/** What a user of a homeserver has here. */
export interface UserStatistics {
  readonly userId: string
  readonly mediaCount: number
  /** Bytes. */
  readonly mediaLength: number
}

export interface StatisticsWanted {
  /** Only users of this homeserver. */
  readonly serverName: string
  /** Only media uploaded from then on, in ms since 1970; null: no limit. */
  readonly fromTs: number | null
  /** Only media uploaded until then, in ms since 1970; null: no limit. */
  readonly untilTs: number | null
  /** Only users in whose local part this stands, in upper or lower case; null: all. */
  readonly searchTerm: string | null
  readonly orderBy: keyof UserStatistics
  readonly direction: 'asc' | 'desc'
  readonly offset: number
  readonly limit: number
}

export interface StatisticsPage {
  readonly users: readonly UserStatistics[]
  /** How many there are in all. */
  readonly total: number
}

/**
 * What the users of a homeserver have uploaded and not deleted since: how many media, and how many bytes; equal ones in the order
 * of their ids, whatever the direction. Without a range of time it comes from what is counted for each user anyway, and costs a row
 * a user, however many media there are; with one, each media of that time is looked at.
 */
export async function userStatistics(db: Queryable, wanted: StatisticsWanted): Promise<StatisticsPage> {
  const isWhole = wanted.fromTs === null && wanted.untilTs === null
  const counted = isWhole ? fromTotals(db, wanted) : fromMedia(db, wanted)
  const { orderBy, direction, offset, limit } = wanted
  const users = await db
    .selectFrom(counted.as('counted'))
    .selectAll()
    .orderBy(orderBy, direction)
    .orderBy('userId')
    .limit(limit)
    .offset(offset)
    .execute()
  if (offset === 0 && users.length < limit) return { users, total: users.length }
  const all = db.selectFrom(counted.as('counted')).select(db.fn.countAll<number>().as('count'))
  return { users, total: (await all.executeTakeFirstOrThrow()).count }
}

function fromTotals(db: Queryable, { serverName, searchTerm }: StatisticsWanted) {
  const totals = db.selectFrom('usage_totals').select(['subject', 'files', 'bytes']).where(isUserOf(serverName))
  const changes = db.selectFrom('usage_changes').select(['subject', 'files', 'bytes']).where(isUserOf(serverName))
  return db
    .selectFrom(totals.unionAll(changes).as('kept'))
    .select([
      sql<string>`substr(subject, 6)`.as('userId'),
      sql<number>`cast(sum(files) as bigint)`.as('mediaCount'),
      sql<number>`cast(sum(bytes) as bigint)`.as('mediaLength'),
    ])
    .where(isLike(sql`substr(subject, 6)`, searchTerm))
    .groupBy('subject')
    .having(sql`sum(files)`, '>', 0)
}

/** Subjects of users begin with `user:@`; whatever ends with a colon and the server's name is one of its users. */
const isUserOf = (serverName: string) => sql<boolean>`
  subject >= 'user:@' and subject < 'user:A'
  and substr(subject, length(subject) - ${serverName.length}) = ${`:${serverName}`}`

function fromMedia(db: Queryable, { serverName, fromTs, untilTs, searchTerm }: StatisticsWanted) {
  return db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select([
      sql<string>`media.uploader`.as('userId'),
      sql<number>`count(*)`.as('mediaCount'),
      sql<number>`cast(sum(objects.size) as bigint)`.as('mediaLength'),
    ])
    .where('media.origin', '=', serverName)
    .where('media.uploader', 'is not', null)
    .where('media.created_at', '>=', fromTs ?? 0)
    .where('media.created_at', '<=', untilTs ?? Number.MAX_SAFE_INTEGER)
    .where(isLike(sql.ref('media.uploader'), searchTerm))
    .groupBy('media.uploader')
}

/** Whether the term stands between the `@` and a later colon, as with Synapse. */
function isLike(userId: RawBuilder<unknown>, term: string | null): RawBuilder<boolean> {
  if (term === null) return sql`1 = 1`
  const escaped = term.toLowerCase().replaceAll(/[\\%_]/g, String.raw`\$&`)
  return sql`lower(${userId}) like ${`@%${escaped}%:%`} escape '\\'`
}
