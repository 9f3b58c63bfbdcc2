import { describe, expect, test } from 'vitest'
import { commitMedia } from '../../../src/db/media.ts'
import {
  commitThumbnail,
  type CommittedThumbnail,
  expireThumbnail,
  findThumbnail,
  type ThumbnailKey,
  thumbnailsUnusedSince,
  touchThumbnails,
} from '../../../src/db/thumbnails.ts'
import {
  type OpenDatabase,
  NOW,
  media,
  object,
  found,
  placeOf,
  thumbnail,
  objects,
  many,
  pick,
  close,
} from './support.ts'

const DAY_MS = 86_400_000

export function thumbnailsContract(open: OpenDatabase): void {
  describe('Thumbnails', () => {
    test('are stored for a source, size, method and variant, and found by exactly these', async () => {
      await using under = await open()
      const { db } = under
      const source = media()
      await db.write(commitMedia, source)
      const made = thumbnail(source, { object: object('small') })
      expect(await db.write(commitThumbnail, made)).toMatchObject({ outcome: 'stored', object: placeOf(made.object) })
      expect(await findThumbnail(db.read, made)).toMatchObject({ ...placeOf(made.object), contentType: 'image/png' })
      const others: readonly Partial<CommittedThumbnail>[] = [
        { sourceSha256: object('other').sha256 },
        { width: 33 },
        { height: 33 },
        { method: 'crop' },
        { variant: 'animated' },
      ]
      for (const other of others) expect(await findThumbnail(db.read, { ...made, ...other })).toBeUndefined()
    })

    test('are found by several variants that would do, the best first', async () => {
      await using under = await open()
      const { db } = under
      const source = media()
      await db.write(commitMedia, source)
      const still = thumbnail(source, { variant: 'still', object: object('still') })
      const animated = thumbnail(source, { variant: 'animated', object: object('animated') })
      const find = (variant: string, ...orElse: string[]) => findThumbnail(db.read, { ...still, variant, orElse })
      await db.write(commitThumbnail, still)
      expect(await find('animated', 'frame', 'still')).toMatchObject(placeOf(still.object))
      expect(await find('animated', 'frame')).toBeUndefined()
      await db.write(commitThumbnail, animated)
      expect(await find('animated', 'frame', 'still')).toMatchObject(placeOf(animated.object))
      expect(await find('still', 'animated')).toMatchObject(placeOf(still.object))
    })

    test('made anew take the place of those before', async () => {
      await using under = await open()
      const { db } = under
      const source = media()
      await db.write(commitMedia, source)
      await db.write(commitThumbnail, thumbnail(source, { object: object('first') }))
      const second = thumbnail(source, { object: object('second'), contentType: 'image/webp' })
      expect(await db.write(commitThumbnail, second)).toMatchObject({ outcome: 'stored' })
      expect(await findThumbnail(db.read, second)).toMatchObject({
        ...placeOf(second.object),
        contentType: 'image/webp',
      })
      const stored = (await objects(db)).map(({ location }) => location)
      expect(stored.toSorted()).toEqual([source.object.location, 'at second'].toSorted())
    })

    test('go when they were not used for long, those unused for longest first, and their objects with the last of them', async () => {
      await using under = await open()
      const { db } = under
      const source = media()
      await db.write(commitMedia, source)
      const make = async (width: number, day: number, changes: Partial<CommittedThumbnail> = {}) => {
        const made = thumbnail(source, { width, createdAt: NOW + day * DAY_MS, object: object(`${width}`), ...changes })
        expect(await db.write(commitThumbnail, made)).toMatchObject({ outcome: 'stored' })
        return { sourceSha256: made.sourceSha256, width, height: 32, method: 'scale', variant: 'still' }
      }
      const shared = object('32', 'elsewhere')
      const [older, used, newer, later] = [
        await make(32, 1),
        await make(33, 0),
        await make(34, 2, { object: found(shared) }),
        await make(35, 9),
      ]
      const same = await make(36, 0, { object: found(source.object) })
      await db.write(touchThumbnails, [{ ...used, at: NOW + 8 * DAY_MS }])
      const before = NOW + 5 * DAY_MS
      const unused = async () => await thumbnailsUnusedSince(db.read, { before, limit: 10 })
      expect(await unused()).toEqual([same, older, newer])
      expect(await thumbnailsUnusedSince(db.read, { before, limit: 1 })).toEqual([same])

      const expire = async (key: ThumbnailKey) => await db.write(expireThumbnail, { ...key, before, at: NOW })
      expect(await expire(same)).toEqual({ removed: true, unused: undefined })
      expect(await expire(older)).toEqual({ removed: true, unused: undefined })
      expect(await expire(newer)).toMatchObject({ removed: true, unused: { location: 'at 32' } })
      for (const stays of [used, later, newer])
        expect(await expire(stays)).toEqual({ removed: false, unused: undefined })
      expect(await unused()).toEqual([])
      const stored = (await objects(db)).map(({ location }) => location)
      expect(stored.toSorted()).toEqual([source.object.location, 'at 33', 'at 35'].toSorted())
      expect(await findThumbnail(db.read, used)).toMatchObject({ usedAt: NOW + 8 * DAY_MS })
      expect(await findThumbnail(db.read, later)).toMatchObject({ usedAt: NOW + 9 * DAY_MS })
    })

    test('made many times at once are one, on one object', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const source = media()
      await under.db.write(commitMedia, source)
      const results = await Promise.all(
        many(20, (index) =>
          pick(dbs, index).write(commitThumbnail, thumbnail(source, { object: object('small', `place ${index}`) })),
        ),
      )
      const stored = await findThumbnail(under.db.read, thumbnail(source))
      for (const result of results)
        expect(result).toMatchObject({ outcome: 'stored', object: { location: stored?.location } })
      expect(await objects(under.db)).toHaveLength(2)
      await close(dbs)
    })

    test('may be the source itself', async () => {
      await using under = await open()
      const source = media()
      await under.db.write(commitMedia, source)
      const same = thumbnail(source, { object: found(source.object) })
      expect(await under.db.write(commitThumbnail, same)).toMatchObject({ outcome: 'stored' })
      expect(await findThumbnail(under.db.read, same)).toMatchObject(placeOf(source.object))
    })

    test('of a source that was deleted meanwhile leave nothing', async () => {
      await using under = await open()
      const made = thumbnail(media(), { object: object('small') })
      expect(await under.db.write(commitThumbnail, made)).toEqual({ outcome: 'source_gone' })
      expect(await objects(under.db)).toEqual([])
    })

    test('whose own bytes were deleted meanwhile ask for them', async () => {
      await using under = await open()
      const source = media()
      await under.db.write(commitMedia, source)
      const made = thumbnail(source, { object: found(object('small')) })
      expect(await under.db.write(commitThumbnail, made)).toEqual({ outcome: 'object_gone' })
      expect(await findThumbnail(under.db.read, made)).toBeUndefined()
    })
  })
}
