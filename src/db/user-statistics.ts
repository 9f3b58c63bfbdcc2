import { setImmediate as nextTurn } from 'node:timers/promises'
import { type RawBuilder, sql } from '#kysely'
import type { Database } from './connect.ts'
import { isPostgres, type Queryable } from './query.ts'
import { DAY_MS } from './uploader-days.ts'
import { foldUsage } from './usage.ts'

/** What to tell of the users of a server. */
export interface StatisticsWish {
  /** The server that they uploaded to. */
  readonly server: string
  readonly orderBy: 'user_id' | 'files' | 'bytes'
  readonly descending: boolean
  /** How many users to pass over. */
  readonly from: number
  readonly limit: number
  /** Only what was uploaded then or later (ms since 1970); null: from the beginning. */
  readonly since: number | null
  /** Only what was uploaded then or earlier; null: until now. */
  readonly until: number | null
  /** Only users with this in their local part, in upper or lower case; null: all. */
  readonly search: string | null
}

/** What a user uploaded and is still there. */
export interface UserStatistics {
  readonly userId: string
  readonly bytes: number
  readonly files: number
}

export interface StatisticsPage {
  readonly users: readonly UserStatistics[]
  /** How many users there are in all. */
  readonly total: number
}

/**
 * What users uploaded to a server and is still there, in order; users of whom there is nothing are left out. Those with as much
 * are in the order of their ids, in the same direction. Without times it costs a page of an index and a count of users; between
 * times it adds up their days, and reads single media only of the two days at the edges.
 */
export async function userStatistics(
  db: Pick<Database, 'read' | 'write'>,
  wish: StatisticsWish,
  signal: AbortSignal,
): Promise<StatisticsPage> {
  await foldWhatWaits(db, signal)
  return wish.since === null && wish.until === null
    ? await ofAllTime(db.read, wish)
    : await ofWindow(db.read, wish, signal)
}

const BATCH = 500
const BATCHES_AT_MOST = 20

/** The last minute's uploads; after an import of millions the job needs longer, and what is told lags behind. */
export async function foldWhatWaits(db: Pick<Database, 'write'>, signal: AbortSignal): Promise<void> {
  for (let batch = 0; batch < BATCHES_AT_MOST; batch++) {
    signal.throwIfAborted()
    if ((await db.write(foldUsage, { limit: BATCH })) < BATCH) return
  }
}

async function ofAllTime(db: Queryable, wish: StatisticsWish): Promise<StatisticsPage> {
  const { orderBy, from, limit } = wish
  const direction = wish.descending ? 'desc' : 'asc'
  const users = await uploadersOf(db, wish)
    .select(['uploader as userId', 'bytes', 'files'])
    .$if(orderBy !== 'user_id', (query) => query.orderBy(orderBy === 'files' ? 'files' : 'bytes', direction))
    .orderBy('uploader', direction)
    .limit(limit)
    .offset(from)
    .execute()
  const { total } = await uploadersOf(db, wish)
    .select(sql<number>`count(*)`.as('total'))
    .executeTakeFirstOrThrow()
  return { users, total }
}

function uploadersOf(db: Queryable, { server, search }: Pick<StatisticsWish, 'server' | 'search'>) {
  return (
    db
      .selectFrom('uploader_days')
      .where('server', '=', server)
      // As the indexes have it: not as a parameter.
      .where(sql<boolean>`day = -1`)
      .where('files', '>', 0)
      .$if(search !== null, (query) => query.where(hasInLocalpart(db, search ?? '')))
  )
}

function hasInLocalpart(db: Queryable, search: string): RawBuilder<boolean> {
  const wanted = lowerCase(search)
  return isPostgres(db)
    ? sql<boolean>`strpos(lower(split_part(substr(uploader, 2), ':', 1)), ${wanted}) > 0`
    : sql<boolean>`instr(lower(substr(uploader, 2, instr(uploader, ':') - 2)), ${wanted}) > 0`
}

/** As both databases do it. */
const lowerCase = (text: string) => text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
const localpartOf = (userId: string) => userId.slice(1).split(':', 1)[0] ?? ''

interface Window {
  readonly server: string
  /** Whole days, first and last; none, if the last comes before the first. */
  readonly days: { readonly first: number; readonly last: number }
  /** What is not a whole day of it, in ms since 1970, first and last. */
  readonly edges: readonly { readonly first: number; readonly last: number }[]
}

async function ofWindow(db: Queryable, wish: StatisticsWish, signal: AbortSignal): Promise<StatisticsPage> {
  const sums = new Map<string, { bytes: number; files: number }>()
  const wanted = wish.search === null ? undefined : lowerCase(wish.search)
  for await (const page of pagesOf(db, windowOf(wish))) {
    for (const { userId, bytes, files } of page) {
      if (wanted !== undefined && !lowerCase(localpartOf(userId)).includes(wanted)) continue
      const sum = sums.get(userId) ?? { bytes: 0, files: 0 }
      sums.set(userId, { bytes: sum.bytes + bytes, files: sum.files + files })
    }
    signal.throwIfAborted()
    // SQLite answers on this thread: others get their turn between pages.
    await nextTurn()
  }
  const users = [...sums].map(([userId, sum]) => ({ userId, ...sum })).filter(({ files }) => files > 0)
  return { users: users.toSorted(inOrder(wish)).slice(wish.from, wish.from + wish.limit), total: users.length }
}

function windowOf({ server, since, until }: StatisticsWish): Window {
  const first = since === null ? 0 : Math.ceil(since / DAY_MS)
  const last = until === null ? Number.MAX_SAFE_INTEGER : Math.floor((until + 1) / DAY_MS) - 1
  if (since !== null && until !== null && last < first) {
    return { server, days: { first, last }, edges: [{ first: since, last: until }] }
  }
  const before = since === null ? [] : [{ first: since, last: first * DAY_MS - 1 }]
  const after = until === null ? [] : [{ first: (last + 1) * DAY_MS, last: until }]
  return { server, days: { first, last }, edges: [...before, ...after].filter((edge) => edge.first <= edge.last) }
}

const byId = (a: UserStatistics, b: UserStatistics) => (a.userId < b.userId ? -1 : 1)

function inOrder({ orderBy, descending }: StatisticsWish): (a: UserStatistics, b: UserStatistics) => number {
  const ascending =
    orderBy === 'user_id' ? byId : (a: UserStatistics, b: UserStatistics) => a[orderBy] - b[orderBy] || byId(a, b)
  return descending ? (a, b) => ascending(b, a) : ascending
}

const PAGE = 1000

async function* pagesOf(db: Queryable, { server, days, edges }: Window): AsyncGenerator<readonly UserStatistics[]> {
  for (let after: Place = { at: days.first, id: '' }; ;) {
    const page = days.last < days.first ? [] : await daysPage(db, server, after, days.last)
    yield page
    const end = page.at(-1)
    if (!end || page.length < PAGE) break
    after = { at: end.day, id: end.userId }
  }
  for (const { first, last } of edges) {
    for (let after: Place = { at: first, id: '' }; ;) {
      const page = await mediaPage(db, server, after, last)
      yield page.flatMap(({ userId, bytes }) => (userId === null ? [] : [{ userId, bytes, files: 1 }]))
      const end = page.at(-1)
      if (!end || page.length < PAGE) break
      after = { at: end.createdAt, id: end.mediaId }
    }
  }
}

/** Where a page begins: behind this time and id. */
interface Place {
  readonly at: number
  readonly id: string
}

const daysPage = (db: Queryable, server: string, after: Place, last: number) =>
  db
    .selectFrom('uploader_days')
    .select(['day', 'uploader as userId', 'bytes', 'files'])
    .where('server', '=', server)
    .where('day', '<=', last)
    .where(sql<boolean>`(day, uploader) > (${after.at}, ${after.id})`)
    .orderBy('day')
    .orderBy('uploader')
    .limit(PAGE)
    .execute()

const mediaPage = (db: Queryable, server: string, after: Place, last: number) =>
  db
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select(['media.created_at as createdAt', 'media.media_id as mediaId', 'media.uploader as userId'])
    .select('objects.size as bytes')
    .where('media.origin', '=', server)
    .where('media.created_at', '<=', last)
    .where(sql<boolean>`(media.created_at, media.media_id) > (${after.at}, ${after.id})`)
    .orderBy('media.created_at')
    .orderBy('media.media_id')
    .limit(PAGE)
    .execute()
