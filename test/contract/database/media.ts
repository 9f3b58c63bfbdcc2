import { describe, expect, test } from 'vitest'
import { type CommittedMedia, commitMedia, findMedia, isBlockedContent } from '../../../src/db/media.ts'
import { findObject } from '../../../src/db/objects.ts'
import { usageOf } from '../../../src/db/usage.ts'
import {
  type OpenDatabase,
  media,
  object,
  found,
  placeOf,
  reserveFor,
  quarantine,
  names,
  outcomesOf,
  objects,
  many,
  pick,
  close,
  NOW,
  ALICE,
} from './support.ts'

export function mediaContract(open: OpenDatabase): void {
  describe('Committing media', () => {
    test('stores the object, its name, and what they use, all at once', async () => {
      await using under = await open()
      const { db } = under
      const offered = media({ contentType: 'text/plain', uploadName: 'a.txt', authenticated: true })
      const result = await db.write(commitMedia, offered)
      expect(result).toMatchObject({ outcome: 'stored', mediaId: offered.mediaId, object: placeOf(offered.object) })
      expect(await findMedia(db.read, offered.origin, offered.mediaId)).toEqual({
        ...placeOf(offered.object),
        lostAt: null,
        damagedAt: null,
        origin: offered.origin,
        mediaId: offered.mediaId,
        kind: 'upload',
        contentType: 'text/plain',
        uploadName: 'a.txt',
        uploader: ALICE,
        createdAt: NOW,
        accessedAt: NOW,
        authenticatedAt: NOW,
        quarantinedAt: null,
      })
      const used = { bytes: 100, files: 1 }
      expect(await usageOf(db.read, `user:${ALICE}`)).toEqual(used)
      expect(await usageOf(db.read, 'server:example.org')).toEqual(used)
      expect(await usageOf(db.read, 'datastore:main')).toEqual(used)
    })

    test('leaves open to everybody what came before authentication was asked for', async () => {
      await using under = await open()
      const offered = media({ authenticated: false })
      await under.db.write(commitMedia, offered)
      expect((await findMedia(under.db.read, offered.origin, offered.mediaId))?.authenticatedAt).toBeNull()
    })

    test.for([[null], ['a.txt'], ['']])(
      'gives the same user the same URI for the same bytes under the name %j',
      async ([name = null]) => {
        await using under = await open()
        const first = media({ uploadName: name })
        await under.db.write(commitMedia, first)
        const again = media({ uploadName: name, createdAt: NOW + 1000, object: found(first.object) })
        expect(await under.db.write(commitMedia, again)).toMatchObject({
          outcome: 'existing',
          mediaId: first.mediaId,
          object: placeOf(first.object),
        })
        expect(await names(under.db)).toEqual([first.mediaId])
        expect(await usageOf(under.db.read, `user:${ALICE}`)).toEqual({ bytes: 100, files: 1 })
      },
    )

    test.for<readonly [string, Partial<CommittedMedia>]>([
      ['another user', { uploader: '@bob:example.org' }],
      ['a user whose name differs in case', { uploader: '@Alice:example.org' }],
      ['a user whose name differs in an accent', { uploader: '@álice:example.org' }],
      ['nobody', { uploader: null }],
      ['another name', { uploadName: 'b.txt' }],
      ['a name that differs in case', { uploadName: 'A.txt' }],
      ['no name', { uploadName: null }],
      ['another homeserver', { origin: 'example.com' }],
      ['another reason', { kind: 'remote' }],
    ])('gives %s a URI of its own, on the same object', async ([, changes]) => {
      await using under = await open()
      const first = media({ uploadName: 'a.txt' })
      await under.db.write(commitMedia, first)
      const other = media({ uploadName: 'a.txt', object: found(first.object), ...changes })
      expect(await under.db.write(commitMedia, other)).toMatchObject({ outcome: 'stored', mediaId: other.mediaId })
      expect(await names(under.db)).toEqual([first.mediaId, other.mediaId].toSorted())
      expect(await objects(under.db)).toEqual([placeOf(first.object)])
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 100, files: 1 })
    })

    test('gives one URI to the same user, name and bytes that come many times at once', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const offers = many(30, (index) => media({ uploadName: 'a.txt', object: object('same', `place ${index}`) }))
      const results = await Promise.all(offers.map((offer, index) => pick(dbs, index).write(commitMedia, offer)))
      expect(results.filter(({ outcome }) => outcome === 'stored')).toHaveLength(1)
      expect(results.filter(({ outcome }) => outcome === 'existing')).toHaveLength(29)
      expect(new Set(results.map((result) => ('mediaId' in result ? result.mediaId : '')))).toHaveLength(1)
      expect(await names(under.db)).toHaveLength(1)
      await close(dbs)
    })

    test('gives one URI to the same user and bytes that come at once when others have stored those before', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const before = media({ uploader: '@bob:example.org' })
      await under.db.write(commitMedia, before)
      const offers = many(30, () => media({ object: found(before.object) }))
      const results = await Promise.all(offers.map((offer, index) => pick(dbs, index).write(commitMedia, offer)))
      expect(outcomesOf(results)).toEqual({ stored: 1, existing: 29 })
      expect(await names(under.db)).toHaveLength(2)
      await close(dbs)
    })

    test('lets one of 100 uploads of the same bytes at once win, and tells the others where it is', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const offers = many(100, (index) =>
        media({ uploader: `@user${index}:example.org`, object: object('same', `place ${index}`) }),
      )
      const results = await Promise.all(offers.map((offer, index) => pick(dbs, index).write(commitMedia, offer)))
      expect(results.every(({ outcome }) => outcome === 'stored')).toBe(true)
      const [winner, ...more] = await objects(under.db)
      expect(more).toEqual([])
      for (const result of results) expect(result).toMatchObject({ object: winner })
      expect(await names(under.db)).toHaveLength(100)
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 100, files: 1 })
      expect(await usageOf(under.db.read, 'server:example.org')).toEqual({ bytes: 10_000, files: 100 })
      await close(dbs)
    })

    test('refuses content that is quarantined under any name, and leaves nothing of it', async () => {
      await using under = await open()
      const bad = media({ object: object('bad') })
      await under.db.write(commitMedia, bad)
      await quarantine(under, bad.mediaId)
      expect(await isBlockedContent(under.db.read, bad.object.sha256)).toBe(true)
      expect(await isBlockedContent(under.db.read, object('good').sha256)).toBe(false)
      const again = media({ uploader: '@bob:example.org', object: object('bad', 'elsewhere') })
      expect(await under.db.write(commitMedia, again)).toEqual({ outcome: 'blocked' })
      expect(await names(under.db)).toEqual([bad.mediaId])
      expect(await objects(under.db)).toEqual([placeOf(bad.object)])
      expect(await usageOf(under.db.read, 'user:@bob:example.org')).toEqual({ bytes: 0, files: 0 })
    })

    test('does not bring back the lost bytes of quarantined content', async () => {
      await using under = await open()
      const bad = media({ object: object('bad', 'lost place') })
      await under.db.write(commitMedia, bad)
      await quarantine(under, bad.mediaId)
      const { datastore, location } = bad.object
      const again = { ...object('bad', 'new place'), replaces: { datastore, location } }
      expect(await under.db.write(commitMedia, media({ object: again }))).toEqual({ outcome: 'blocked' })
      expect(await objects(under.db)).toEqual([placeOf(bad.object)])
    })

    test('keeps a reserved id free when its content turns out to be quarantined', async () => {
      await using under = await open()
      const bad = media({ object: object('bad') })
      await under.db.write(commitMedia, bad)
      await quarantine(under, bad.mediaId)
      const reserved = await reserveFor(under.db)
      const filled = { mediaId: reserved.mediaId, reserved: true }
      expect(await under.db.write(commitMedia, media({ ...filled, object: found(bad.object) }))).toEqual({
        outcome: 'blocked',
      })
      expect(await under.db.write(commitMedia, media({ ...filled, object: object('good') }))).toMatchObject({
        outcome: 'stored',
      })
    })

    test('asks for the bytes when those found before were deleted meanwhile, also for a reserved id', async () => {
      await using under = await open()
      const gone = object('gone')
      expect(await under.db.write(commitMedia, media({ object: found(gone) }))).toEqual({ outcome: 'object_gone' })
      const reserved = await reserveFor(under.db)
      const filled = { mediaId: reserved.mediaId, reserved: true }
      expect(await under.db.write(commitMedia, media({ ...filled, object: found(gone) }))).toEqual({
        outcome: 'object_gone',
      })
      expect(await under.db.write(commitMedia, media({ ...filled, object: gone }))).toMatchObject({
        outcome: 'stored',
        mediaId: reserved.mediaId,
      })
    })

    test('heals an object whose bytes are gone by the same bytes at a new place', async () => {
      await using under = await open()
      const first = media({ object: object('lost', 'old place') })
      await under.db.write(commitMedia, first)
      const { datastore, location } = first.object
      const fresh = { ...object('lost', 'new place'), datastore: 'second', replaces: { datastore, location } }
      const healed = await under.db.write(commitMedia, media({ uploader: '@bob:example.org', object: fresh }))
      expect(healed).toMatchObject({ outcome: 'stored', object: placeOf(fresh) })
      expect(await findMedia(under.db.read, first.origin, first.mediaId)).toMatchObject({
        datastore: 'second',
        location: 'new place',
      })
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 0, files: 0 })
      expect(await usageOf(under.db.read, 'datastore:second')).toEqual({ bytes: 100, files: 1 })
    })

    test('lets one of many that heal the same object at once win', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const first = media({ object: object('lost', 'old place') })
      await under.db.write(commitMedia, first)
      const { datastore, location } = first.object
      const offers = many(20, (index) =>
        media({
          uploader: `@user${index}:example.org`,
          object: { ...object('lost', `place ${index}`), replaces: { datastore, location } },
        }),
      )
      const results = await Promise.all(offers.map((offer, index) => pick(dbs, index).write(commitMedia, offer)))
      const [winner] = await objects(under.db)
      for (const result of results) expect(result).toMatchObject({ outcome: 'stored', object: winner })
      expect(winner?.location).toMatch(/^place \d+$/)
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 100, files: 1 })
      await close(dbs)
    })

    test('does not put other bytes in the place of a row that was healed before', async () => {
      await using under = await open()
      const first = media({ object: object('lost', 'healed already') })
      await under.db.write(commitMedia, first)
      const late = { ...object('lost', 'late'), replaces: { datastore: 'main', location: 'old place' } }
      const result = await under.db.write(commitMedia, media({ uploader: null, object: late }))
      expect(result).toMatchObject({ outcome: 'stored', object: placeOf(first.object) })
      expect(await objects(under.db)).toEqual([placeOf(first.object)])
    })

    test('of one that fails leaves nothing, and harms none of those that come with it', async () => {
      await using under = await open()
      const taken = media({ object: object('first') })
      await under.db.write(commitMedia, taken)
      const failing = media({ mediaId: taken.mediaId, uploader: '@bob:example.org', object: object('failing') })
      const fine = many(20, (index) => media({ object: object(`fine ${index}`) }))
      const outcomes = await Promise.allSettled(
        [...fine.slice(0, 10), failing, ...fine.slice(10)].map((offer) => under.db.write(commitMedia, offer)),
      )
      expect(outcomes.map(({ status }) => status)).toEqual(
        many(21, (index) => (index === 10 ? 'rejected' : 'fulfilled')),
      )
      expect(await findObject(under.db.read, failing.object.sha256)).toBeUndefined()
      expect(await usageOf(under.db.read, 'user:@bob:example.org')).toEqual({ bytes: 0, files: 0 })
      for (const offer of fine) expect(await findObject(under.db.read, offer.object.sha256)).toBeDefined()
    })
  })
}
