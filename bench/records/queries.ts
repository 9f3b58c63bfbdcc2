/** The queries whose time must not depend on how many records there are, each as the server itself asks it. */
import { type Candidate, leastRecentlyUsed, oldest, quarantined } from '../../src/db/candidates.ts'
import type { Database } from '../../src/db/connect.ts'
import { commitMedia, findMedia } from '../../src/db/media.ts'
import { findObject } from '../../src/db/objects.ts'
import type { Queryable } from '../../src/db/query.ts'
import { findThumbnail } from '../../src/db/thumbnails.ts'
import { objectsPage } from '../../src/db/transfer.ts'
import { mediaPage, uploadersPage, uploadsOfUser } from '../../src/db/usage-lists.ts'
import { REMOTE, usageOf } from '../../src/db/usage.ts'
import { foldedStatistics, type StatisticsWish } from '../../src/db/user-statistics.ts'
import { amountsOf, BEGAN_AT, HOMESERVERS, hashOf, mediaIdOf, NOW, originOf } from './numbers.ts'

/** Number `at` of so many media; `media` in all. */
export interface Key {
  readonly at: number
  readonly media: number
}

interface Named {
  readonly name: string
  readonly title: string
  /** How many different media are asked for in turn, as users ask for some of all there are again and again; 500 if not given. */
  readonly keys?: number
}

/** One that reads. It gives how many rows it found: none would be a mistake of the bench. */
export interface ReadQuery extends Named {
  /** It is put together for each question: its plan is not told. */
  readonly isBuiltAnew?: true
  readonly run: (db: Queryable, key: Key) => Promise<number>
}

/** One that writes, as a unit with its commit. */
export interface WriteQuery extends Named {
  readonly write: (db: Database, key: Key, unique: string) => Promise<number>
}

const PAGE = 100
/** Pages reach as many rows as single look-ups do. */
const PAGES = 5

const one = (row: unknown): number => (row === undefined ? 0 : 1)
/** A time in the first half of all there were: enough comes after it. */
const somewhere = ({ at, media }: Key): Candidate => ({
  at: BEGAN_AT + Math.floor(((at / media) * (NOW - BEGAN_AT)) / 2),
  origin: '',
  mediaId: '',
})
const page = (key: Key) => ({ before: NOW + 1, after: somewhere(key), limit: PAGE })
/** A content that is nobody's copy. */
const contentOf = ({ at, media }: Key): number => at % amountsOf(media).contents

const NEVER = new AbortController().signal
/** Users of a homeserver of average size: the first has a quarter of everything. */
const mostBytes: StatisticsWish = {
  server: 'hs7.example',
  orderBy: 'bytes',
  descending: true,
  from: 0,
  // As many as there are among few media too.
  limit: 10,
  since: null,
  until: null,
  search: null,
}
const DAY_MS = 24 * 3600 * 1000
/** A day and a half, in the middle of days. */
const dayAndHalf = (key: Key) => ({ since: somewhere(key).at + 1, until: somewhere(key).at + 1.5 * DAY_MS })

export const reads: readonly ReadQuery[] = [
  {
    name: 'find-media',
    title: 'the record of a media id',
    run: async (db, { at, media }) => one(await findMedia(db, originOf(at, media), mediaIdOf(at))),
  },
  {
    name: 'find-thumbnail',
    title: 'a thumbnail that is there',
    run: async (db, key) => {
      const sourceSha256 = hashOf(contentOf(key) - (contentOf(key) % 5))
      return one(await findThumbnail(db, { sourceSha256, width: 320, height: 240, method: 'scale', variant: 'still' }))
    },
  },
  {
    name: 'find-object',
    title: 'whether content is known (dedupe)',
    run: async (db, key) => one(await findObject(db, hashOf(contentOf(key)))),
  },
  {
    name: 'usage-server',
    title: 'what a server uses',
    run: async (db, { at, media }) => (await usageOf(db, `server:${originOf(at, media)}`)).files,
  },
  {
    name: 'usage-thumbnails',
    title: "what thumbnails of a server's media use",
    run: async (db, { at }) => (await usageOf(db, `thumbnails:hs${at % HOMESERVERS}.example`)).files,
  },
  {
    name: 'quota-check',
    title: 'what a user uses (quotas)',
    run: async (db) => (await usageOf(db, 'user:@user7:hs7.example')).files,
  },
  {
    name: 'statistics',
    isBuiltAnew: true,
    title: 'the 10 users of a server with the most bytes, and how many there are',
    run: async (db) => (await foldedStatistics(db, mostBytes, NEVER)).users.length,
  },
  {
    name: 'statistics-of-a-time',
    isBuiltAnew: true,
    title: 'the same between two moments, a day and a half apart',
    keys: PAGES,
    run: async (db, key) => (await foldedStatistics(db, { ...mostBytes, ...dayAndHalf(key) }, NEVER)).total + 1,
  },
  {
    name: 'usage-users',
    title: `${PAGE} users of a server by id`,
    run: async (db) => (await uploadersPage(db, { server: 'hs7.example', after: '', limit: PAGE })).length,
  },
  {
    name: 'usage-user',
    title: `${PAGE} uploads of a user`,
    run: async (db) =>
      (
        await uploadsOfUser(db, {
          server: 'hs7.example',
          userId: '@user7:hs7.example',
          after: { at: 0, mediaId: '' },
          limit: PAGE,
        })
      ).length,
  },
  {
    name: 'usage-uploads',
    title: `${PAGE} uploads of a server with where they are`,
    keys: PAGES,
    run: async (db, key) =>
      (await mediaPage(db, { server: 'hs7.example', after: { at: somewhere(key).at, mediaId: '' }, limit: PAGE }))
        .length,
  },
  { name: 'usage-remote', title: 'what all other servers use', run: async (db) => (await usageOf(db, REMOTE)).files },
  {
    name: 'purge-remote',
    title: `${PAGE} remote media by last use`,
    keys: PAGES,
    run: async (db, key) => (await leastRecentlyUsed(db, { ...page(key), kind: 'remote' })).length,
  },
  {
    name: 'purge-server',
    title: `${PAGE} media of one server by age`,
    keys: PAGES,
    run: async (db, key) => (await oldest(db, { ...page(key), origin: 'hs0.example' })).length,
  },
  {
    name: 'purge-quarantined',
    title: 'the first quarantined media',
    run: async (db) =>
      (await quarantined(db, { before: NOW, after: { at: 0, origin: '', mediaId: '' }, limit: 10 })).length,
  },
  {
    name: 'transfer',
    isBuiltAnew: true,
    title: `${PAGE} objects of a datastore, to be moved`,
    keys: PAGES,
    run: async (db, { at }) =>
      (await objectsPage(db, { datastore: 's3', after: `2028/${mediaIdOf(at)}`, limit: PAGE, readSince: null })).length,
  },
]

export const writes: readonly WriteQuery[] = [
  { name: 'commit-new', title: 'the commit of new content', write: (db, key, unique) => commit(db, key, unique, true) },
  {
    name: 'commit-known',
    title: 'the commit of known content',
    write: (db, key, unique) => commit(db, key, unique, false),
  },
]

async function commit(db: Database, key: Key, unique: string, fresh: boolean): Promise<number> {
  const known = hashOf(contentOf(key))
  const sha256 = fresh ? `${unique}-${known}` : known
  const result = await db.write(commitMedia, {
    origin: 'hs0.example',
    mediaId: unique,
    kind: 'upload',
    contentType: 'image/png',
    uploadName: unique,
    uploader: '@user0:hs0.example',
    createdAt: NOW,
    authenticated: true,
    object: { sha256, size: 100, datastore: 'main', location: unique, fresh },
    reserved: false,
  })
  if (result.outcome !== 'stored' && result.outcome !== 'blocked')
    throw new Error(`a commit ended with ${result.outcome}`)
  return 1
}
