import { describe, expect, test } from 'vitest'
import { commitMedia, findMedia, touchMedia } from '../../../src/db/media.ts'
import { foldUsage, REMOTE, usageOf } from '../../../src/db/usage.ts'
import { type OpenDatabase, media, object, table, many, pick, close, NOW, ALICE } from './support.ts'

export function usageContract(open: OpenDatabase): void {
  describe('What is used', () => {
    test('is nothing for who never stored anything', async () => {
      await using under = await open()
      expect(await usageOf(under.db.read, 'user:@nobody:example.org')).toEqual({ bytes: 0, files: 0 })
    })

    test('is the same before, while and after differences are folded into the totals, by whoever', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      await Promise.all(many(60, (index) => under.db.write(commitMedia, media({ object: object(`file ${index}`) }))))
      const seen = new Set<string>()
      const folding = Promise.all(
        many(12, (index) => pick(dbs, index).write(foldUsage, { limit: index % 2 ? 25 : 60 })),
      )
      const done = new AbortController()
      const watching = (async () => {
        while (!done.signal.aborted) {
          seen.add(JSON.stringify(await usageOf(under.db.read, `user:${ALICE}`)))
          await new Promise((resolve) => setImmediate(resolve))
        }
      })()
      const folded = await folding
      done.abort()
      await watching
      expect([...seen]).toEqual([JSON.stringify({ bytes: 6000, files: 60 })])
      expect(folded.reduce((sum, count) => sum + count, 0)).toBe(240)
      expect(await usageOf(under.db.read, 'server:example.org')).toEqual({ bytes: 6000, files: 60 })
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 6000, files: 60 })
      expect(await under.db.write(foldUsage, { limit: 10 })).toBe(0)
      await close(dbs)
    })

    test('of all other servers together counts each of their media, two with one id too', async () => {
      await using under = await open()
      for (const origin of ['a.org', 'b.org']) {
        const remote = media({ origin, mediaId: 'same', kind: 'remote', uploader: null, object: object(origin) })
        expect(await under.db.write(commitMedia, remote)).toMatchObject({ outcome: 'stored' })
      }
      await under.db.write(commitMedia, media())
      expect(await usageOf(under.db.read, REMOTE)).toEqual({ bytes: 200, files: 2 })
    })

    test('adds up when uploads go on while others fold', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      await Promise.all(
        many(80, (index) =>
          index % 4 === 0
            ? pick(dbs, index / 4).write(foldUsage, { limit: 20 })
            : pick(dbs, index).write(commitMedia, media({ object: object(`file ${index}`) })),
        ),
      )
      while ((await under.db.write(foldUsage, { limit: 50 })) > 0);
      expect(await usageOf(under.db.read, `user:${ALICE}`)).toEqual({ bytes: 6000, files: 60 })
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 6000, files: 60 })
      await close(dbs)
    })
  })
  describe('Times of access', () => {
    test('move forward, never back, and only for media that are there', async () => {
      await using under = await open()
      const { db } = under
      const { origin, mediaId, ...offered } = media()
      await db.write(commitMedia, { origin, mediaId, ...offered })
      const accessedAt = async () => (await findMedia(db.read, origin, mediaId))?.accessedAt
      await db.write(touchMedia, [
        { origin, mediaId, at: NOW + 5000 },
        { origin, mediaId: 'unknown', at: NOW + 5000 },
      ])
      expect(await accessedAt()).toBe(NOW + 5000)
      await db.write(touchMedia, [{ origin, mediaId, at: NOW + 4000 }])
      expect(await accessedAt()).toBe(NOW + 5000)
      await under.execute(`UPDATE ${table(db, 'media')} SET accessed_at = NULL`)
      await db.write(touchMedia, [{ origin, mediaId, at: NOW }])
      expect(await accessedAt()).toBe(NOW)
    })

    test('are noted by two instances at once for the same media in different order', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const offers = many(40, (index) => media({ object: object(`file ${index}`) }))
      await Promise.all(offers.map((offer) => under.db.write(commitMedia, offer)))
      for (let round = 1; round <= 5; round++) {
        const reads = offers.map(({ origin, mediaId }) => ({ origin, mediaId, at: NOW + round }))
        await Promise.all([pick(dbs, 0).write(touchMedia, reads), pick(dbs, 1).write(touchMedia, reads.toReversed())])
      }
      const times = await under.db.read.selectFrom('media').select('accessed_at').distinct().execute()
      expect(times).toEqual([{ accessed_at: NOW + 5 }])
      await close(dbs)
    })
  })
}
