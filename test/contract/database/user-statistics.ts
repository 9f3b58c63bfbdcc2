import { describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/connect.ts'
import { commitMedia } from '../../../src/db/media.ts'
import { deleteMedia } from '../../../src/db/deletion.ts'
import { foldUsage } from '../../../src/db/usage.ts'
import { type StatisticsWish, userStatistics } from '../../../src/db/user-statistics.ts'
import { close, many, media, object, type OpenDatabase, pick, table } from './support.ts'

const DAY_MS = 24 * 3600 * 1000
/** The first moment of a day. */
const MIDNIGHT = Date.parse('2030-03-04T00:00:00Z')
const NEVER = new AbortController().signal

const everything: StatisticsWish = {
  server: 'example.org',
  orderBy: 'user_id',
  descending: false,
  from: 0,
  limit: 100,
  since: null,
  until: null,
  search: null,
}
const told = (db: Database, wish: Partial<StatisticsWish> = {}) => userStatistics(db, { ...everything, ...wish }, NEVER)
const idsOf = async (db: Database, wish: Partial<StatisticsWish> = {}) =>
  (await told(db, wish)).users.map(({ userId }) => userId.slice(1).split(':', 1)[0])

/** Uploads of so many bytes, under names of their own. */
async function upload(db: Database, localpart: string, bytes: number, createdAt = MIDNIGHT, server = 'example.org') {
  const one = media({ origin: server, uploader: `@${localpart}:${server}`, createdAt })
  const offered = { ...one, object: { ...object(one.mediaId), size: bytes } }
  expect(await db.write(commitMedia, offered)).toMatchObject({ outcome: 'stored' })
  return offered
}

/** What they are from the media themselves, in order of the users. */
async function counted(db: Database, since: number, until: number) {
  const rows = await db.read
    .selectFrom('media')
    .innerJoin('objects', 'objects.sha256', 'media.sha256')
    .select(['uploader', 'size'])
    .where('media.created_at', '>=', since)
    .where('media.created_at', '<=', until)
    .execute()
  return [...Map.groupBy(rows, (row) => String(row.uploader))]
    .map(([userId, of]) => ({ userId, files: of.length, bytes: of.reduce((sum, { size }) => sum + size, 0) }))
    .toSorted((a, b) => (a.userId < b.userId ? -1 : 1))
}

export function userStatisticsContract(open: OpenDatabase): void {
  describe('What users uploaded', () => {
    test('is listed by id, number and bytes, in both directions, those with as much in the order of their ids', async () => {
      await using under = await open()
      const { db } = under
      for (const [who, bytes] of Object.entries({ ann: 10, bob: 40, cid: 40, dan: 5 })) await upload(db, who, bytes)
      await upload(db, 'ann', 10)
      await upload(db, 'zoe', 1000, MIDNIGHT, 'elsewhere.org')
      await db.write(commitMedia, media({ uploader: null, kind: 'preview' }))
      expect(await told(db)).toEqual({
        users: [
          { userId: '@ann:example.org', files: 2, bytes: 20 },
          { userId: '@bob:example.org', files: 1, bytes: 40 },
          { userId: '@cid:example.org', files: 1, bytes: 40 },
          { userId: '@dan:example.org', files: 1, bytes: 5 },
        ],
        total: 4,
      })
      expect(await idsOf(db, { descending: true })).toEqual(['dan', 'cid', 'bob', 'ann'])
      for (const [since, until] of [
        [null, null],
        [MIDNIGHT, null],
        [null, MIDNIGHT],
      ] as const) {
        const between = { since, until }
        expect(await idsOf(db, { ...between, orderBy: 'files' })).toEqual(['bob', 'cid', 'dan', 'ann'])
        expect(await idsOf(db, { ...between, orderBy: 'bytes' })).toEqual(['dan', 'ann', 'bob', 'cid'])
        expect(await idsOf(db, { ...between, orderBy: 'bytes', descending: true })).toEqual([
          'cid',
          'bob',
          'ann',
          'dan',
        ])
      }
      expect(await told(db, { server: 'nobody.org' })).toEqual({ users: [], total: 0 })
    })

    test('comes in pages, with how many users there are in all', async () => {
      await using under = await open()
      for (const index of many(7, (number) => number)) await upload(under.db, `user${index}`, 10 + index)
      for (const since of [null, MIDNIGHT - 1]) {
        const seen: (string | undefined)[] = []
        for (let from = 0; from < 9; from += 3) {
          const page = { from, limit: 3, since, orderBy: 'bytes', descending: true } as const
          expect((await told(under.db, page)).total).toBe(7)
          seen.push(...(await idsOf(under.db, page)))
        }
        expect(seen).toEqual(many(7, (index) => `user${6 - index}`))
        expect((await told(under.db, { from: 7, since })).users).toEqual([])
        expect(await told(under.db, { limit: 0, since })).toEqual({ users: [], total: 7 })
      }
    })

    test('can be asked for between any two moments, both included', async () => {
      await using under = await open()
      const { db } = under
      const moments = [-DAY_MS, -1, 0, 1, DAY_MS - 1, DAY_MS, 2 * DAY_MS + 5, 3 * DAY_MS, 3 * DAY_MS + 7]
      for (const [index, after] of moments.entries()) {
        await upload(db, index % 2 ? 'odd' : 'even', 1 + index, MIDNIGHT + after)
      }
      for (const since of moments) {
        for (const until of moments.filter((moment) => moment >= since)) {
          const window = { since: MIDNIGHT + since, until: MIDNIGHT + until }
          expect((await told(db, window)).users, `${since} to ${until}`).toEqual(
            await counted(db, window.since, window.until),
          )
        }
      }
      expect((await told(db, { since: MIDNIGHT })).users).toEqual(await counted(db, MIDNIGHT, Number.MAX_SAFE_INTEGER))
      expect((await told(db, { until: MIDNIGHT })).users).toEqual(await counted(db, 0, MIDNIGHT))
      expect((await told(db, { since: MIDNIGHT + 9 * DAY_MS })).total).toBe(0)
    })

    test('reads more than one page of a day and of its edges', async () => {
      await using under = await open()
      const rows = many(2500, (index) => `('example.org', ${20_000 + (index % 2)}, '@u${index}:example.org', 3, 1)`)
      await under.execute(
        `INSERT INTO ${table(under.db, 'uploader_days')} (server, day, uploader, bytes, files) VALUES ${rows.join()}`,
      )
      expect((await told(under.db, { since: 20_000 * DAY_MS })).total).toBe(2500)
      await under.execute(
        `INSERT INTO ${table(under.db, 'objects')} (sha256, size, datastore, location, created_at) VALUES ('s', 2, 'main', 'l', 1)`,
      )
      const names = many(
        2100,
        (index) => `('example.org', 'm${index}', 's', 'upload', 'x/y', '@a:example.org', ${1000 + (index % 3)})`,
      )
      await under.execute(
        `INSERT INTO ${table(under.db, 'media')} (origin, media_id, sha256, kind, content_type, uploader, created_at) VALUES ${names.join()}`,
      )
      const { users } = await told(under.db, { since: 1000, until: 1002 })
      expect(users).toEqual([{ userId: '@a:example.org', files: 2100, bytes: 4200 }])
    })

    test('can be searched by local part only, in upper or lower case; % and _ are letters like others', async () => {
      await using under = await open()
      for (const who of ['Anna', 'hanna', 'example', 'a_b', 'axb', 'per%cent']) await upload(under.db, who, 10)
      for (const since of [null, MIDNIGHT]) {
        expect(await idsOf(under.db, { search: 'ANN', since })).toEqual(['Anna', 'hanna'])
        expect(await idsOf(under.db, { search: 'example', since })).toEqual(['example'])
        expect(await idsOf(under.db, { search: 'org', since })).toEqual([])
        expect(await idsOf(under.db, { search: 'a_b', since })).toEqual(['a_b'])
        expect(await idsOf(under.db, { search: '%', since })).toEqual(['per%cent'])
        expect((await told(under.db, { search: 'nn', limit: 1, since })).total).toBe(2)
      }
    })

    test('is less by what was deleted, also on its day, and whoever has nothing left is not listed', async () => {
      await using under = await open()
      const { db } = under
      const { origin, mediaId } = await upload(db, 'ann', 10)
      const other = await upload(db, 'bob', 10)
      await upload(db, 'bob', 7, MIDNIGHT + DAY_MS)
      expect((await told(db)).total).toBe(2)
      await db.write(deleteMedia, { origin, mediaId, at: MIDNIGHT + 5 * DAY_MS })
      await db.write(deleteMedia, { origin, mediaId: other.mediaId, at: MIDNIGHT + 5 * DAY_MS })
      const left = { users: [{ userId: '@bob:example.org', files: 1, bytes: 7 }], total: 1 }
      expect(await told(db)).toEqual(left)
      expect(await told(db, { since: 0 })).toEqual(left)
      expect(await told(db, { until: MIDNIGHT + DAY_MS - 1 })).toEqual({ users: [], total: 0 })
      const rows = await db.read.selectFrom('uploader_days').select(['uploader', 'day']).orderBy('day').execute()
      expect(rows.map(({ day }) => day)).toEqual([-1, MIDNIGHT / DAY_MS + 1])
    })

    test('adds up when uploads go on while several instances fold and ask', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      await Promise.all(
        many(60, async (index) => {
          await upload(pick(dbs, index), `user${index % 5}`, 10, MIDNIGHT + (index % 3) * DAY_MS)
          await (index % 4 === 0 ? told(pick(dbs, index / 4)) : pick(dbs, index).write(foldUsage, { limit: 7 }))
        }),
      )
      const expected = many(5, (index) => ({ userId: `@user${index}:example.org`, files: 12, bytes: 120 }))
      expect((await told(under.db)).users).toEqual(expected)
      expect((await told(under.db, { since: 0 })).users).toEqual(expected)
      await close(dbs)
    })
  })
}
