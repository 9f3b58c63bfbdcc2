import { describe, expect, test } from 'vitest'
import { commitMedia } from '../../../src/db/media.ts'
import { commitThumbnail, type CommittedThumbnail, findThumbnail } from '../../../src/db/thumbnails.ts'
import { type OpenDatabase, media, object, found, placeOf, thumbnail, objects, many, pick, close } from './support.ts'

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
