import { describe, expect, test } from 'vitest'
import { type CommittedMedia, commitMedia } from '../../../src/db/media.ts'
import { findReservation, reservationState, reserve, sweepReservations } from '../../../src/db/pending.ts'
import {
  type OpenDatabase,
  media,
  object,
  found,
  reservation,
  reserveFor,
  names,
  objects,
  outcomesOf,
  many,
  pick,
  close,
  NOW,
} from './support.ts'

export function reservationsContract(open: OpenDatabase): void {
  describe('Reserved media ids', () => {
    test('are found until they are filled, and then are media', async () => {
      await using under = await open()
      const { db } = under
      const reserved = await reserveFor(db)
      expect(await findReservation(db.read, reserved.origin, reserved.mediaId)).toEqual(reserved)
      expect(await reservationState(db.read, reserved, NOW)).toBe('open')
      const filled = media({ mediaId: reserved.mediaId, reserved: true })
      expect(await db.write(commitMedia, filled)).toMatchObject({ outcome: 'stored', mediaId: reserved.mediaId })
      expect(await findReservation(db.read, reserved.origin, reserved.mediaId)).toBeUndefined()
      expect(await reservationState(db.read, reserved, NOW)).toBe('already_uploaded')
    })

    test('get media of their own even for bytes that the same user sent before', async () => {
      await using under = await open()
      const before = media()
      await under.db.write(commitMedia, before)
      const reserved = await reserveFor(under.db)
      const filled = media({ mediaId: reserved.mediaId, reserved: true, object: found(before.object) })
      expect(await under.db.write(commitMedia, filled)).toMatchObject({
        outcome: 'stored',
        mediaId: reserved.mediaId,
      })
      expect(await names(under.db)).toEqual([before.mediaId, reserved.mediaId].toSorted())
    })

    test('are refused for every other reason in words of its own, and stay as they are', async () => {
      await using under = await open()
      const { db } = under
      const { mediaId } = await reserveFor(db, { expiresAt: NOW + 1000 })
      const fill = (changes: Partial<CommittedMedia>) =>
        db.write(commitMedia, media({ mediaId, reserved: true, ...changes }))
      expect(await fill({ mediaId: 'never' })).toEqual({ outcome: 'not_reserved' })
      expect(await fill({ origin: 'example.com' })).toEqual({ outcome: 'not_reserved' })
      expect(await fill({ uploader: '@bob:example.org' })).toEqual({ outcome: 'other_uploader' })
      expect(await fill({ uploader: null })).toEqual({ outcome: 'other_uploader' })
      expect(await fill({ createdAt: NOW + 1000 })).toEqual({ outcome: 'expired' })
      expect(await objects(db)).toEqual([])
      expect(await fill({ createdAt: NOW + 999 })).toMatchObject({ outcome: 'stored' })
      // What is uploaded already comes before everything else that may be wrong.
      expect(await fill({ uploader: '@bob:example.org', createdAt: NOW + 5000 })).toEqual({
        outcome: 'already_uploaded',
      })
    })

    test('that two uploads fill at once belong to one of them; of the other nothing stays', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      for (let round = 0; round < 10; round++) {
        const { mediaId } = await reserveFor(under.db)
        const offers = many(6, (index) => media({ mediaId, reserved: true, object: object(`${round} ${index}`) }))
        const results = await Promise.all(offers.map((offer, index) => pick(dbs, index).write(commitMedia, offer)))
        expect(outcomesOf(results)).toEqual({ stored: 1, already_uploaded: 5 })
        expect(await objects(under.db)).toHaveLength(round + 1)
      }
      await close(dbs)
    })

    test('are as many as maxPending at most, also when they are asked for at once', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const asked = many(20, (index) => reservation({ expiresAt: NOW + 1000 + index }))
      const results = await Promise.all(
        asked.map((wanted, index) => pick(dbs, index).write(reserve, { ...wanted, maxPending: 5 })),
      )
      expect(outcomesOf(results)).toEqual({ reserved: 5, too_many: 15 })
      const kept = asked.filter((_, index) => results[index]?.outcome === 'reserved')
      const refused = await under.db.write(reserve, { ...reservation(), maxPending: 5 })
      expect(refused).toEqual({
        outcome: 'too_many',
        firstExpiresAt: Math.min(...kept.map(({ expiresAt }) => expiresAt)),
      })
      const bob = reservation({ uploader: '@bob:example.org' })
      expect(await under.db.write(reserve, { ...bob, maxPending: 5 })).toEqual({ outcome: 'reserved' })
      await close(dbs)
    })

    test('that have ended or were filled do not count', async () => {
      await using under = await open()
      const { db } = under
      const ended = await reserveFor(db, { expiresAt: NOW })
      const filled = await reserveFor(db)
      await db.write(commitMedia, media({ mediaId: filled.mediaId, reserved: true }))
      expect(await db.write(reserve, { ...reservation(), maxPending: 1 })).toEqual({ outcome: 'reserved' })
      expect(await db.write(reserve, { ...reservation(), maxPending: 1 })).toMatchObject({ outcome: 'too_many' })
      expect(await findReservation(db.read, ended.origin, ended.mediaId)).toBeDefined()
    })

    test('are without limit when maxPending is 0', async () => {
      await using under = await open()
      const results = await Promise.all(many(30, () => under.db.write(reserve, { ...reservation(), maxPending: 0 })))
      expect(outcomesOf(results)).toEqual({ reserved: 30 })
    })

    test('that ended long ago are swept, so many at a time; the others stay', async () => {
      await using under = await open()
      const { db } = under
      for (let index = 0; index < 5; index++) await reserveFor(db, { expiresAt: NOW - 1 })
      const kept = await reserveFor(db, { expiresAt: NOW })
      expect(await db.write(sweepReservations, { before: NOW, limit: 3 })).toBe(3)
      expect(await db.write(sweepReservations, { before: NOW, limit: 3 })).toBe(2)
      expect(await db.write(sweepReservations, { before: NOW, limit: 3 })).toBe(0)
      expect(await findReservation(db.read, kept.origin, kept.mediaId)).toEqual(kept)
    })
  })
}
