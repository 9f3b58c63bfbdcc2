import { describe, expect, test } from 'vitest'
import { commitJudgedFetched, commitJudgedMedia } from '../../../src/db/judged.ts'
import { findMedia, isBlockedContent } from '../../../src/db/media.ts'
import { quarantineContent } from '../../../src/db/moderation.ts'
import {
  addReports,
  closeReports,
  countOpenReports,
  findReport,
  listReports,
  type NewReport,
} from '../../../src/db/reports.ts'
import { found, media, NOW, type OpenDatabase } from './support.ts'

let count = 0
const report = (more: Partial<NewReport> = {}): NewReport => ({
  id: `r${String(count++).padStart(4, '0')}`,
  origin: 'example.org',
  mediaId: `m${count}`,
  sha256: 'aa',
  source: 'clamd',
  reason: 'found',
  reporter: null,
  createdAt: NOW,
  ...more,
})

export function reportsContract(open: OpenDatabase): void {
  describe('Reports', () => {
    test('are listed a page at a time, oldest first, open ones apart from closed ones, and counted', async () => {
      await using under = await open()
      const { db } = under
      const all = Array.from({ length: 5 }, (_, index) => report({ createdAt: NOW + Math.floor(index / 2) }))
      expect(await db.write(addReports, { reports: all })).toBe(5)
      await db.write(addReports, { reports: [report({ source: 'hook1', sha256: 'bb', createdAt: NOW - 1 })] })
      expect(await countOpenReports(db.read)).toEqual([
        { source: 'clamd', open: 5 },
        { source: 'hook1', open: 1 },
      ])
      const first = await listReports(db.read, { state: 'open', after: null, limit: 4 })
      const last = first.at(-1)
      const rest = await listReports(db.read, { state: 'open', after: last ?? null, limit: 4 })
      expect([...first, ...rest].map(({ id }) => id).slice(1)).toEqual(all.map(({ id }) => id))
      expect(first[0]).toMatchObject({ source: 'hook1', closedAt: null, outcome: null })

      const id = all[0]?.id ?? ''
      expect(await db.write(closeReports, { id, outcome: 'dismissed', at: NOW + 9, by: '@a:b' })).toBe(1)
      expect(await db.write(closeReports, { id, outcome: 'dismissed', at: NOW + 10, by: '@c:d' })).toBe(0)
      expect(await findReport(db.read, id)).toMatchObject({ closedAt: NOW + 9, outcome: 'dismissed', closedBy: '@a:b' })
      expect(await listReports(db.read, { state: 'closed', after: null, limit: 9 })).toHaveLength(1)
      // A quarantine is about the content: every report of it is closed.
      const other = all[1]?.id ?? ''
      expect(await db.write(closeReports, { id: other, outcome: 'quarantined', at: NOW + 11, by: null })).toBe(4)
      expect(await countOpenReports(db.read)).toEqual([{ source: 'hook1', open: 1 }])
      expect(await findReport(db.read, id)).toMatchObject({ outcome: 'dismissed' })
      expect(await findReport(db.read, 'nothing')).toBeUndefined()
    })

    test('that are open already are not repeated, however many come at once', async () => {
      await using under = await open()
      const { db } = under
      const same = { mediaId: 'same' }
      const added = await Promise.all(
        Array.from({ length: 8 }, () => db.write(addReports, { reports: [report(same)] })),
      )
      expect(added.reduce((sum, one) => sum + one, 0)).toBe(1)
      expect(await db.write(addReports, { reports: [report({ ...same, source: 'hook1' })] })).toBe(1)
      const [first] = await listReports(db.read, { state: 'open', after: null, limit: 1 })
      await db.write(closeReports, { id: first?.id ?? '', outcome: 'dismissed', at: NOW, by: null })
      expect(await db.write(addReports, { reports: [report({ ...same, source: first?.source ?? '' })] })).toBe(1)
    })
  })

  describe('What gates had something to say of', () => {
    test('is committed with its reports, and quarantined under all names of its content where they want that', async () => {
      await using under = await open()
      const { db } = under
      const before = media()
      const { sha256 } = before.object
      const said = (mediaId: string) => [report({ mediaId, sha256 })]
      const passed = await db.write(commitJudgedMedia, {
        media: before,
        quarantine: false,
        reports: said(before.mediaId),
      })
      expect(passed).toMatchObject({ outcome: 'stored', names: 0 })
      expect(await isBlockedContent(db.read, sha256)).toBe(false)

      // The same upload again keeps its first name, and that is the one that is reported.
      const again = { ...before, mediaId: 'again', object: found(before.object) }
      const same = await db.write(commitJudgedMedia, { media: again, quarantine: false, reports: said('again') })
      expect(same).toMatchObject({ outcome: 'existing', mediaId: before.mediaId })
      const reports = await listReports(db.read, { state: 'open', after: null, limit: 9 })
      expect(reports.map(({ mediaId }) => mediaId)).toEqual([before.mediaId])

      const bad = media({ uploader: '@other:example.org', object: found(before.object) })
      const kept = await db.write(commitJudgedMedia, { media: bad, quarantine: true, reports: said(bad.mediaId) })
      expect(kept).toMatchObject({ outcome: 'stored', names: 2 })
      for (const { origin, mediaId } of [before, bad]) {
        expect(await findMedia(db.read, origin, mediaId)).toMatchObject({ quarantinedAt: bad.createdAt })
      }
      const third = media({ object: found(before.object) })
      const refused = await db.write(commitJudgedMedia, {
        media: third,
        quarantine: true,
        reports: said(third.mediaId),
      })
      expect(refused).toEqual({ outcome: 'blocked', names: 0 })
      expect(await listReports(db.read, { state: 'open', after: null, limit: 9 })).toHaveLength(2)
    })

    test('leaves nothing behind when its fetch has lost the lease', async () => {
      await using under = await open()
      const { db } = under
      const { kind: _, uploader: __, reserved: ___, ...fetched } = media({ origin: 'remote.example' })
      const lost = { name: 'remote', token: 'gone' }
      const given = { media: { ...fetched, lease: lost }, quarantine: true, reports: [report()] }
      expect(await db.write(commitJudgedFetched, given)).toEqual({ outcome: 'lease_lost', names: 0 })
      expect(await countOpenReports(db.read)).toEqual([])
      expect(await db.write(quarantineContent, { sha256: fetched.object.sha256, origin: null, at: NOW })).toBe(0)
    })
  })
}
