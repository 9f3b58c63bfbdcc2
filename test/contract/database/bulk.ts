import { describe, expect, test } from 'vitest'
import { START, uploadsOf } from '../../../src/db/candidates.ts'
import { deleteMedia, deleteNames, describeNames } from '../../../src/db/deletion.ts'
import { commitMedia, findMedia, isBlockedContent, touchMedia } from '../../../src/db/media.ts'
import { findProtection, setProtection } from '../../../src/db/protection.ts'
import { quarantineNames, releaseNames } from '../../../src/db/quarantine-names.ts'
import { commitThumbnail } from '../../../src/db/thumbnails.ts'
import { foldUsage, usageOf } from '../../../src/db/usage.ts'
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
  pick,
  table,
  thumbnail,
} from './support.ts'

const BOB = '@bob:example.org'

export function bulkContract(open: OpenDatabase): void {
  describe('Many media at once', () => {
    test('are quarantined under all their names, but for protected ones, and released again', async () => {
      await using under = await open()
      const { db } = under
      const [first, second, other] = [media(), media(), media()]
      const copy = media({ origin: 'remote.example', kind: 'remote', uploader: null, object: found(first.object) })
      const pinned = media({ uploader: BOB, object: found(second.object) })
      for (const one of [first, second, other, copy, pinned]) await db.write(commitMedia, one)
      await db.write(setProtection, { ...nameOf(pinned), at: NOW, by: BOB })
      const meant = { names: [first, second, pinned].map(nameOf), rules: {}, alsoDeleted: [] }
      const sha256s = [first, second].map((one) => one.object.sha256).toSorted()
      const by = ALICE

      const whole = await db.write(quarantineNames, { ...meant, origin: null, at: NOW, by })
      expect(whole).toEqual({ found: 3, kept: 1, done: 3, sha256s })
      const quarantined = async () =>
        (await describeNames(db.read, [first, second, other, copy, pinned]))
          .filter((one) => one.quarantinedAt !== null)
          .map((one) => one.mediaId)
          .toSorted()
      expect(await quarantined()).toEqual([first, second, copy].map((one) => one.mediaId).toSorted())
      const deciders = await db.read.selectFrom('media').select('quarantined_by').distinct().execute()
      expect(new Set(deciders.map((row) => row.quarantined_by))).toEqual(new Set([ALICE, null]))
      // Whoever has the protected one keeps it; nobody gets it anew.
      expect(await isBlockedContent(db.read, second.object.sha256)).toBe(true)

      expect(await db.write(releaseNames, meant)).toMatchObject({ done: 3, sha256s })
      expect(await quarantined()).toEqual([])
      expect(await isBlockedContent(db.read, first.object.sha256)).toBe(false)
      const some = await db.write(quarantineNames, { ...meant, origin: 'remote.example', at: NOW, by })
      expect(some.done).toBe(1)
      expect(await quarantined()).toEqual([copy.mediaId])
    })

    test('are deleted as each by itself would be: content, thumbnails, usage, and what stays taken', async () => {
      await using under = await open()
      const { db } = under
      const mine = many(5, () => media())
      const [first] = mine
      if (!first) throw new Error('there are five')
      const copy = media({ uploader: BOB, object: found(first.object) })
      const remote = media({ origin: 'remote.example', kind: 'remote', uploader: null })
      for (const one of [...mine, copy, remote]) await db.write(commitMedia, one)
      await db.write(commitThumbnail, thumbnail(remote))
      const gone = [...mine, remote]

      const result = await db.write(deleteNames, { names: gone.map(nameOf), rules: {}, at: NOW })
      expect(result.deleted.map(({ mediaId }) => mediaId).toSorted()).toEqual(idsOf(gone))
      expect(result.bytes).toBe(600)
      expect(result.sha256s).toHaveLength(6)
      // All but the one that has another name, and with them the thumbnail.
      const locations = gone.slice(1).map((one) => one.object.location)
      expect(result.unused.map(({ location }) => location).toSorted()).toEqual(
        [...locations, object('thumbnail').location].toSorted(),
      )
      expect(await names(db)).toEqual([copy.mediaId])
      expect((await objects(db)).map(({ sha256 }) => sha256)).toEqual([first.object.sha256])
      for (const subject of [`user:${ALICE}`, 'server:remote.example', 'remote']) {
        expect(await usageOf(db.read, subject), subject).toEqual({ bytes: 0, files: 0 })
      }
      for (const subject of [`user:${BOB}`, 'server:example.org', 'datastore:main']) {
        expect(await usageOf(db.read, subject), subject).toEqual({ bytes: 100, files: 1 })
      }
      expect(await db.write(commitMedia, first)).toEqual({ outcome: 'deleted' })
      const handedOver = await db.read.selectFrom('unused_objects').select('location').execute()
      expect(handedOver).toHaveLength(result.unused.length)
      const again = await db.write(deleteNames, { names: gone.map(nameOf), rules: {}, at: NOW })
      expect(again.deleted).toEqual([])
      await db.write(foldUsage, { limit: 100 })
      expect(await usageOf(db.read, 'server:example.org')).toEqual({ bytes: 100, files: 1 })
    })

    test("that are protected, were used meanwhile, or are not the moderator's stay; the others go", async () => {
      await using under = await open()
      const { db } = under
      const [plain, pinned, used, foreign] = [
        media({ createdAt: NOW - 9000 }),
        media({ createdAt: NOW - 9000 }),
        media({ createdAt: NOW - 9000 }),
        media({ createdAt: NOW - 9000, origin: 'remote.example', kind: 'remote', uploader: null }),
      ]
      for (const one of [plain, pinned, used, foreign]) await db.write(commitMedia, one)
      await db.write(setProtection, { ...nameOf(pinned), at: NOW, by: null })
      await db.write(touchMedia, [{ ...nameOf(used), at: NOW }])
      const everything = [plain, pinned, used, foreign].map(nameOf)
      const remove = async (rules: Parameters<typeof deleteNames.run>[1]['rules']) =>
        (await db.write(deleteNames, { names: everything, rules, at: NOW })).deleted.map(({ mediaId }) => mediaId)

      expect(await remove({ quarantined: true })).toEqual([])
      const within = { origin: 'example.org', uploader: null }
      expect(await remove({ unusedSince: NOW, within })).toEqual([plain.mediaId])
      expect(await remove({ within: { origin: null, uploader: ALICE } })).toEqual([used.mediaId])
      expect(await remove({ quarantined: false })).toEqual([foreign.mediaId])
      expect(await db.write(deleteMedia, { ...nameOf(pinned), at: NOW })).toEqual({ outcome: 'protected' })
      expect(await names(db)).toEqual([pinned.mediaId])
      expect(await remove({ evenProtected: true })).toEqual([pinned.mediaId])
    })

    test('may be deleted, quarantined, read and uploaded by two servers at once: every record keeps its object', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const all = many(60, () => media())
      for (const one of all) await under.db.write(commitMedia, one)
      const half = all.slice(0, 40).map(nameOf).toReversed()
      const others = all.slice(20).map(nameOf)
      const meant = { names: all.map(nameOf), rules: {}, alsoDeleted: [] }
      const copies = all.map((one) => media({ uploader: BOB, object: found(one.object) }))
      await Promise.all([
        pick(dbs, 0).write(deleteNames, { names: half, rules: {}, at: NOW }),
        pick(dbs, 1).write(deleteNames, { names: others, rules: {}, at: NOW }),
        pick(dbs, 0).write(quarantineNames, { ...meant, origin: null, at: NOW, by: null }),
        pick(dbs, 1).write(touchMedia, all.map((one) => ({ ...nameOf(one), at: NOW + 5 })).toReversed()),
        pick(dbs, 1).write(releaseNames, meant),
        ...copies.map((copy, index) => pick(dbs, index).write(commitMedia, copy)),
      ])
      const left = await objects(under.db)
      expect(await usageOf(under.db.read, 'datastore:main')).toEqual({ bytes: 100 * left.length, files: left.length })
      expect(await usageOf(under.db.read, 'server:example.org')).toMatchObject({
        files: (await names(under.db)).length,
      })
      expect(await usageOf(under.db.read, `user:${ALICE}`)).toEqual({ bytes: 0, files: 0 })
      await close(dbs)
    })

    test('of one user are found page by page, the oldest first', async () => {
      await using under = await open()
      const { db } = under
      const mine = many(5, (index) => media({ createdAt: NOW + (index % 2) }))
      for (const one of [...mine, media({ uploader: BOB })]) await db.write(commitMedia, one)
      const seen: string[] = []
      for (let after = START; ;) {
        const page = await uploadsOf(db.read, { uploader: ALICE, before: NOW + 2, after, limit: 2 })
        const last = page.at(-1)
        if (!last) break
        seen.push(...page.map(({ mediaId }) => mediaId))
        after = last
      }
      const [even, odd] = [0, 1].map((rest) => mine.filter((_, index) => index % 2 === rest).map((one) => one.mediaId))
      expect(seen).toEqual([...(even ?? []), ...(odd ?? [])])
      expect(await uploadsOf(db.read, { uploader: ALICE, before: NOW, after: START, limit: 9 })).toEqual([])
    })
  })

  describe('Protection', () => {
    test('is noted with who gave it first, until it is ended', async () => {
      await using under = await open()
      const { db } = under
      const one = media()
      await db.write(commitMedia, one)
      expect(await findProtection(db.read, nameOf(one))).toEqual({ protectedAt: null, protectedBy: null })
      expect(await db.write(setProtection, { ...nameOf(one), at: NOW, by: ALICE })).toBe(true)
      expect(await db.write(setProtection, { ...nameOf(one), at: NOW + 5, by: BOB })).toBe(true)
      expect(await findProtection(db.read, nameOf(one))).toEqual({ protectedAt: NOW, protectedBy: ALICE })
      expect(await db.write(setProtection, { ...nameOf(one), at: null, by: BOB })).toBe(true)
      expect(await findProtection(db.read, nameOf(one))).toEqual({ protectedAt: null, protectedBy: null })
      expect(await db.write(setProtection, { origin: 'example.org', mediaId: 'nothing', at: NOW, by: null })).toBe(
        false,
      )
      expect(await findProtection(db.read, { origin: 'example.org', mediaId: 'nothing' })).toBeUndefined()
    })

    test('does not release what is quarantined', async () => {
      await using under = await open()
      const { db } = under
      const one = media()
      await db.write(commitMedia, one)
      await under.execute(`UPDATE ${table(db, 'media')} SET quarantined_at = ${NOW}`)
      await db.write(setProtection, { ...nameOf(one), at: NOW, by: null })
      expect(await findMedia(db.read, one.origin, one.mediaId)).toMatchObject({ quarantinedAt: NOW })
    })
  })
}

const nameOf = ({ origin, mediaId }: { readonly origin: string; readonly mediaId: string }) => ({ origin, mediaId })
const idsOf = (all: readonly { readonly mediaId: string }[]) => all.map(({ mediaId }) => mediaId).toSorted()
