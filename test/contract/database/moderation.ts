import { describe, expect, test } from 'vitest'
import { commitMedia, findMedia, isBlockedContent } from '../../../src/db/media.ts'
import { deleteMedia } from '../../../src/db/deletion.ts'
import { findContent, quarantineContent, releaseContent } from '../../../src/db/moderation.ts'
import { findObject } from '../../../src/db/objects.ts'
import { commitThumbnail, findThumbnail } from '../../../src/db/thumbnails.ts'
import { usageOf } from '../../../src/db/usage.ts'
import {
  ALICE,
  close,
  found,
  many,
  media,
  names,
  NOW,
  object,
  objects,
  type OpenDatabase,
  outcomesOf,
  pick,
  placeOf,
  reserveFor,
  thumbnail,
} from './support.ts'

const nameOf = ({ origin, mediaId }: { readonly origin: string; readonly mediaId: string }) => ({
  origin,
  mediaId,
  at: NOW,
})

export function moderationContract(open: OpenDatabase): void {
  describe('Quarantine', () => {
    test('takes every name of the content, or those of one server, and ends for all of them', async () => {
      await using under = await open()
      const { db } = under
      const first = media()
      const { sha256 } = first.object
      const remote = media({ origin: 'remote.example', kind: 'remote', uploader: null, object: found(first.object) })
      for (const one of [first, remote, media()]) await db.write(commitMedia, one)

      expect(await db.write(quarantineContent, { sha256, origin: 'example.org', at: NOW })).toBe(1)
      expect(await findMedia(db.read, first.origin, first.mediaId)).toMatchObject({ quarantinedAt: NOW })
      expect(await findMedia(db.read, remote.origin, remote.mediaId)).toMatchObject({ quarantinedAt: null })
      expect(await db.write(quarantineContent, { sha256, origin: null, at: NOW + 1 })).toBe(1)
      expect(await findMedia(db.read, first.origin, first.mediaId)).toMatchObject({ quarantinedAt: NOW })
      expect(await findMedia(db.read, remote.origin, remote.mediaId)).toMatchObject({ quarantinedAt: NOW + 1 })
      expect(await isBlockedContent(db.read, sha256)).toBe(true)

      expect(await db.write(releaseContent, { sha256 })).toBe(2)
      expect(await isBlockedContent(db.read, sha256)).toBe(false)
      expect(await findMedia(db.read, first.origin, first.mediaId)).toMatchObject({ quarantinedAt: null })
    })

    test('of content that is uploaded at the same moment leaves no name of it open', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const first = media()
      await under.db.write(commitMedia, first)
      const { sha256 } = first.object
      const uploads = many(20, (index) => media({ uploader: `@u${index}:example.org`, object: found(first.object) }))
      const work = uploads.map((upload, index) => pick(dbs, index).write(commitMedia, upload))
      const quarantined = pick(dbs, 1).write(quarantineContent, { sha256, origin: null, at: NOW })
      const outcomes = outcomesOf(await Promise.all(work))
      expect(await quarantined).toBe(1 + (outcomes['stored'] ?? 0))
      const left = await under.db.read
        .selectFrom('media')
        .select('media_id')
        .where('quarantined_at', 'is', null)
        .execute()
      expect(left).toEqual([])
      await close(dbs)
    })
  })

  describe('Deleting media', () => {
    test('takes the content along with its last name, and what they used', async () => {
      await using under = await open()
      const { db } = under
      const first = media()
      const second = media({ uploader: '@bob:example.org', object: found(first.object) })
      for (const one of [first, second]) await db.write(commitMedia, one)
      const { sha256 } = first.object

      expect(await db.write(deleteMedia, nameOf(first))).toEqual({ outcome: 'deleted', sha256, unused: [] })
      expect(await names(db)).toEqual([second.mediaId])
      expect(await usageOf(db.read, `user:${ALICE}`)).toEqual({ bytes: 0, files: 0 })
      expect(await usageOf(db.read, 'server:example.org')).toEqual({ bytes: 100, files: 1 })
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 100, files: 1 })

      const unused = [placeOf(first.object)]
      expect(await db.write(deleteMedia, nameOf(second))).toEqual({ outcome: 'deleted', sha256, unused })
      expect(await objects(db)).toEqual([])
      expect(await usageOf(db.read, 'server:example.org')).toEqual({ bytes: 0, files: 0 })
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 0, files: 0 })
      expect(await db.write(deleteMedia, nameOf(second))).toEqual({ outcome: 'not_found' })
    })

    test('takes its thumbnails along, but no object that something else refers to', async () => {
      await using under = await open()
      const { db } = under
      const [source, other] = [media(), media()]
      for (const one of [source, other]) await db.write(commitMedia, one)
      const shared = object('a thumbnail of both')
      await db.write(commitThumbnail, thumbnail(source, { object: shared }))
      await db.write(commitThumbnail, thumbnail(other, { object: found(shared) }))
      const own = thumbnail(source, { width: 96, object: object('a thumbnail of one') })
      await db.write(commitThumbnail, own)
      // A picture so small that it is its own thumbnail.
      await db.write(commitThumbnail, thumbnail(source, { width: 640, object: found(source.object) }))

      const result = await db.write(deleteMedia, nameOf(source))
      const unused = result.outcome === 'deleted' ? result.unused : []
      expect(unused.map(({ location }) => location).toSorted()).toEqual(
        [own.object.location, source.object.location].toSorted(),
      )
      expect(await findThumbnail(db.read, own)).toBeUndefined()
      expect(await findThumbnail(db.read, thumbnail(other))).toMatchObject(placeOf(shared))
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 200, files: 2 })
    })

    test('keeps content that is the thumbnail of something else', async () => {
      await using under = await open()
      const { db } = under
      const [small, large] = [media(), media()]
      for (const one of [small, large]) await db.write(commitMedia, one)
      await db.write(commitThumbnail, thumbnail(large, { object: found(small.object) }))
      expect(await db.write(deleteMedia, nameOf(small))).toMatchObject({ outcome: 'deleted', unused: [] })
      expect(await findObject(db.read, small.object.sha256)).toMatchObject(placeOf(small.object))
    })

    test('keeps the ids of ours taken for ever, and those of other servers free to be fetched again', async () => {
      await using under = await open()
      const { db } = under
      const local = media()
      const remote = media({ origin: 'remote.example', kind: 'remote', uploader: null })
      for (const one of [local, remote]) {
        await db.write(commitMedia, one)
        await db.write(deleteMedia, nameOf(one))
      }
      expect(await db.write(commitMedia, local)).toEqual({ outcome: 'deleted' })
      expect(await names(db)).toEqual([])
      await reserveFor(db, { mediaId: local.mediaId })
      expect(await db.write(commitMedia, { ...local, reserved: true })).toEqual({ outcome: 'deleted' })
      const fetchedAgain = { ...remote, createdAt: NOW + 1, object: { ...remote.object, location: 'new place' } }
      expect(await db.write(commitMedia, fetchedAgain)).toMatchObject({ outcome: 'stored' })
    })

    test('of quarantined content keeps it blocked without its bytes, until it is released', async () => {
      await using under = await open()
      const { db } = under
      const bad = media({ origin: 'remote.example', kind: 'remote', uploader: null })
      const { sha256 } = bad.object
      await db.write(commitMedia, bad)
      await db.write(quarantineContent, { sha256, origin: null, at: NOW })
      expect(await db.write(deleteMedia, nameOf(bad))).toMatchObject({
        outcome: 'deleted',
        unused: [placeOf(bad.object)],
      })
      const again = (location: string) => media({ object: { ...bad.object, location } })
      expect(await db.write(commitMedia, again('second place'))).toEqual({ outcome: 'blocked' })
      expect(await objects(db)).toEqual([])
      expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 0, files: 0 })
      await db.write(releaseContent, { sha256 })
      expect(await db.write(commitMedia, again('third place'))).toMatchObject({ outcome: 'stored' })
    })

    test('does not keep its content from being quarantined by the name it had', async () => {
      await using under = await open()
      const { db } = under
      const gone = media()
      const { sha256 } = gone.object
      await db.write(commitMedia, gone)
      await db.write(deleteMedia, nameOf(gone))
      expect(await findContent(db.read, gone)).toBe(sha256)
      expect(await isBlockedContent(db.read, sha256)).toBe(false)
      expect(await db.write(quarantineContent, { sha256, origin: 'other.example', at: NOW })).toBe(0)
      expect(await isBlockedContent(db.read, sha256)).toBe(false)
      await db.write(quarantineContent, { sha256, origin: null, at: NOW })
      expect(await isBlockedContent(db.read, sha256)).toBe(true)
    })

    test('while others upload or make thumbnails of the same content leaves every record with its object', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      for (let round = 0; round < 10; round++) {
        const first = media({ object: object(`round ${round}`) })
        await under.db.write(commitMedia, first)
        const uploads = many(4, (index) => media({ uploader: `@u${index}:example.org`, object: found(first.object) }))
        const small = object(`small of ${round}`)
        const results = await Promise.all([
          ...uploads.map((upload, index) => pick(dbs, index).write(commitMedia, upload)),
          pick(dbs, round).write(commitThumbnail, thumbnail(first, { object: small })),
          pick(dbs, round + 1).write(deleteMedia, nameOf(first)),
        ])
        const known = ['stored', 'existing', 'object_gone', 'source_gone', 'deleted']
        for (const { outcome } of results) expect(known).toContain(outcome)
      }
      const { bytes, files } = await usageOf(under.db.read, 'datastore:main')
      const left = await objects(under.db)
      expect({ bytes, files }).toEqual({ bytes: 100 * left.length, files: left.length })
      expect((await usageOf(under.db.read, 'server:example.org')).files).toBe((await names(under.db)).length)
      await close(dbs)
    })
  })
}
