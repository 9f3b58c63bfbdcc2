import { describe, expect, test } from 'vitest'
import { type CommittedMedia, commitMedia } from '../../../src/db/media.ts'
import { deleteMedia } from '../../../src/db/deletion.ts'
import { excessOf, sweepRecentUploads, type UploadLimits } from '../../../src/db/quota.ts'
import { foldUsage, usageOf } from '../../../src/db/usage.ts'
import {
  ALICE,
  close,
  many,
  media,
  names,
  NOW,
  object,
  objects,
  type OpenDatabase,
  outcomesOf,
  pick,
} from './support.ts'

const KEPT = { maxBytes: -1, maxFiles: 0, windows: [] }
const HOUR = 3600

const limited = (changes: Partial<UploadLimits>): UploadLimits => ({
  origin: 'example.org',
  uploader: ALICE,
  user: null,
  total: null,
  ...changes,
})
const within = (user: Partial<UploadLimits['user']>) => limited({ user: { ...KEPT, ...user } })
const hour = (hours: number) => NOW + hours * HOUR * 1000
/** 100 bytes of Alice's, unless told otherwise. */
const upload = (limits: UploadLimits, changes: Partial<CommittedMedia> = {}) =>
  media({ limits, uploader: limits.uploader, origin: limits.origin, ...changes })

export function quotaContract(open: OpenDatabase): void {
  describe('Limits on uploads', () => {
    test.each([
      ['bytes', within({ maxBytes: 550 }), 5],
      ['bytes that fit to the last one', within({ maxBytes: 500 }), 5],
      ['files', within({ maxFiles: 3 }), 3],
      ['bytes in a window', within({ windows: [{ seconds: HOUR, maxBytes: 450 }] }), 4],
      ['bytes of a homeserver', limited({ total: { maxBytes: 750, maxFiles: 0 } }), 7],
      ['files of a homeserver', limited({ total: { maxBytes: -1, maxFiles: 2 } }), 2],
    ])('on %s hold for uploads that several instances commit at once', async (_, limits, fit) => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const results = await Promise.all(many(20, (index) => pick(dbs, index).write(commitMedia, upload(limits))))
      expect(outcomesOf(results)).toEqual({ stored: fit, over_limit: 20 - fit })
      expect(await names(under.db)).toHaveLength(fit)
      expect(await objects(under.db)).toHaveLength(fit)
      expect(await usageOf(under.db.read, `user:${ALICE}`)).toEqual({ bytes: fit * 100, files: fit })
      await close(dbs)
    })

    test('hold also while usage is folded', async () => {
      await using under = await open()
      const limits = within({ maxBytes: 1000 })
      const uploads = many(30, () => under.db.write(commitMedia, upload(limits)))
      const folds = many(10, () => under.db.write(foldUsage, { limit: 3 }))
      const [results] = await Promise.all([Promise.all(uploads), Promise.all(folds)])
      expect(outcomesOf(results)).toEqual({ stored: 10, over_limit: 20 })
    })

    test('say which of them it was, and how much there is', async () => {
      await using under = await open()
      const commit = (limits: UploadLimits) => under.db.write(commitMedia, upload(limits))
      await commit(within({ windows: [{ seconds: HOUR, maxBytes: 1000 }] }))
      const over = async (limits: UploadLimits) => {
        const result = await commit(limits)
        return result.outcome === 'over_limit' ? result.excess : result.outcome
      }
      expect(await over(within({ maxBytes: 199 }))).toEqual({ of: 'user', what: 'bytes', limit: 199, used: 100 })
      expect(await over(within({ maxFiles: 1 }))).toEqual({ of: 'user', what: 'files', limit: 1, used: 1 })
      const windows = [
        { seconds: HOUR, maxBytes: 500 },
        { seconds: 2 * HOUR, maxBytes: 199 },
      ]
      const window = { of: 'user', what: 'window', limit: 199, used: 100, seconds: 2 * HOUR }
      expect(await over(within({ windows }))).toEqual(window)
      const total = { maxBytes: 199, maxFiles: 0 }
      expect(await over(limited({ total }))).toEqual({ of: 'total', what: 'bytes', limit: 199, used: 100 })
    })

    test('of 0 bytes let nothing in, not even empty files; below 0 everything', async () => {
      await using under = await open()
      const empty = { ...object('empty'), size: 0 }
      const commit = (limits: UploadLimits) => under.db.write(commitMedia, upload(limits, { object: empty }))
      expect(await commit(within({ maxBytes: 0 }))).toMatchObject({ outcome: 'over_limit' })
      expect(await commit(within({ maxBytes: -1 }))).toMatchObject({ outcome: 'stored' })
    })

    test('on files hold also where bytes have no limit (in MMR they did not)', async () => {
      await using under = await open()
      const limits = within({ maxBytes: -1, maxFiles: 1 })
      expect(await under.db.write(commitMedia, upload(limits))).toMatchObject({ outcome: 'stored' })
      expect(await under.db.write(commitMedia, upload(limits))).toMatchObject({ outcome: 'over_limit' })
    })

    test('count each user and each homeserver by itself', async () => {
      await using under = await open()
      const total = { maxBytes: 100, maxFiles: 0 }
      const outcome = async (limits: UploadLimits) => (await under.db.write(commitMedia, upload(limits))).outcome
      expect(await outcome(within({ maxBytes: 100 }))).toBe('stored')
      expect(await outcome({ ...within({ maxBytes: 100 }), uploader: '@bob:example.org' })).toBe('stored')
      expect(await outcome(limited({ total, origin: 'other.org', uploader: '@bob:other.org' }))).toBe('stored')
      expect(await outcome(limited({ total, origin: 'other.org', uploader: '@eve:other.org' }))).toBe('over_limit')
    })

    test('on what is kept give back what is deleted, windows do not', async () => {
      await using under = await open()
      const windows = [{ seconds: HOUR, maxBytes: 150 }]
      const first = upload(within({ windows }))
      await under.db.write(commitMedia, first)
      await under.db.write(deleteMedia, { origin: first.origin, mediaId: first.mediaId, at: NOW + 1 })
      expect(await under.db.write(commitMedia, upload(within({ maxBytes: 100 })))).toMatchObject({ outcome: 'stored' })
      expect(await under.db.write(commitMedia, upload(within({ windows })))).toMatchObject({ outcome: 'over_limit' })
    })

    test('over a window let in again what it slides past', async () => {
      await using under = await open()
      const limits = within({ windows: [{ seconds: HOUR, maxBytes: 250 }] })
      const at = async (minutes: number) => {
        const committedAt = NOW + minutes * 60_000
        return (await under.db.write(commitMedia, upload(limits, { committedAt }))).outcome
      }
      expect(await at(0)).toBe('stored')
      expect(await at(30)).toBe('stored')
      expect(await at(59)).toBe('over_limit')
      expect(await at(60)).toBe('stored')
      expect(await at(89)).toBe('over_limit')
      expect(await at(90)).toBe('stored')
    })

    test('forget the uploads that count in no window any more, and no others', async () => {
      await using under = await open()
      const limits = within({ windows: many(2, (index) => ({ seconds: (index + 1) * HOUR, maxBytes: 200 })) })
      for (const at of [hour(0), hour(1)]) {
        expect(await under.db.write(commitMedia, upload(limits, { committedAt: at }))).toMatchObject({
          outcome: 'stored',
        })
      }
      const sweep = (at: number) => under.db.write(sweepRecentUploads, { before: at, limit: 10 })
      expect(await sweep(hour(2))).toBe(0)
      expect(await excessOf(under.db.read, limits, { bytes: 1, at: hour(2) - 1 })).toMatchObject({ what: 'window' })
      expect(await sweep(hour(2.5))).toBe(1)
      expect(await excessOf(under.db.read, limits, { bytes: 101, at: hour(2.5) })).toMatchObject({ used: 100 })
      expect(await sweep(hour(4))).toBe(1)
      expect(await sweep(hour(4))).toBe(0)
    })

    test('that nobody set leave no notes of uploads', async () => {
      await using under = await open()
      await under.db.write(commitMedia, upload(within({ maxBytes: 1000 })))
      await under.db.write(commitMedia, media())
      expect(await under.db.read.selectFrom('recent_uploads').selectAll().execute()).toEqual([])
    })

    test('refuse what is stored already too: a name more is more that is kept', async () => {
      await using under = await open()
      const first = media()
      await under.db.write(commitMedia, first)
      const again = upload(within({ maxBytes: 150 }), { object: { ...first.object, fresh: false } })
      expect(await under.db.write(commitMedia, again)).toMatchObject({ outcome: 'over_limit' })
      expect(await usageOf(under.db.read, `user:${ALICE}`)).toEqual({ bytes: 100, files: 1 })
    })
  })
}
