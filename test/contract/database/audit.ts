import { describe, expect, test } from 'vitest'
import {
  type AuditFilter,
  auditLines,
  beginDeed,
  type Deed,
  endDeed,
  forgetDeeds,
  outcomeOf,
} from '../../../src/db/audit.ts'
import type { Database } from '../../../src/db/connect.ts'
import { commitMedia } from '../../../src/db/media.ts'
import { deleteMedia } from '../../../src/db/deletion.ts'
import { quarantineContent, releaseContent } from '../../../src/db/moderation.ts'
import { addTask, cancelTask } from '../../../src/db/tasks.ts'
import { close, many, media, NOW, type OpenDatabase, pick } from './support.ts'

const deed = (changes: Partial<Deed> = {}): Deed => ({
  at: NOW,
  by: '@admin:example.org',
  address: '192.0.2.7',
  requestId: 'r1',
  action: 'test',
  subject: 'mxc://example.org/a',
  ...changes,
})

const ANY: AuditFilter = { by: null, action: null, subject: null, since: null, until: null }

const linesOf = async (db: Database, filter: Partial<AuditFilter> = {}) =>
  await auditLines(db.read, { ...ANY, ...filter, before: null, limit: 1000 })

export function auditContract(open: OpenDatabase): void {
  describe('The audit log', () => {
    test('has a line of each change that was committed, with how many it was', async () => {
      await using under = await open()
      const { db } = under
      const one = media()
      await db.write(commitMedia, one)
      const { sha256 } = one.object
      const of = (action: string) => deed({ action })
      await db.write(quarantineContent, { sha256, origin: null, at: NOW, audit: of('quarantine') })
      await db.write(releaseContent, { sha256, audit: of('release') })
      const name = { origin: one.origin, mediaId: one.mediaId, at: NOW }
      for (let time = 0; time < 2; time++) await db.write(deleteMedia, { ...name, audit: of('delete') })
      const task = { name: 'copy', params: {}, progress: {}, startedAt: NOW }
      const { id } = await db.write(addTask, { ...task, audit: deed({ action: 'begin', details: { to: 'new' } }) })
      for (const wrong of [0, 1]) await db.write(cancelTask, { id: id + wrong, at: NOW, audit: of('cancel') })
      const found = await linesOf(db)
      expect(found.map(({ action, affected }) => [action, affected])).toEqual([
        ['cancel', 1],
        ['begin', null],
        ['delete', 1],
        ['release', 1],
        ['quarantine', 1],
      ])
      const { requestId, address, by, at } = deed()
      expect(found.at(-1)).toMatchObject({ id: 1, at, by, address, requestId, endedAt: NOW, error: '', details: {} })
      expect(found[1]?.details).toEqual({ to: 'new', task: id })
    })

    test('has no line of what is not audited', async () => {
      await using under = await open()
      await under.db.write(releaseContent, { sha256: 'unknown' })
      await under.db.write(cancelTask, { id: 1, at: NOW })
      expect(await linesOf(under.db)).toEqual([])
    })

    test('tells of long work that it began, and then how it ended', async () => {
      await using under = await open()
      const { db } = under
      const ids = [await db.write(beginDeed, deed()), await db.write(beginDeed, deed())]
      expect((await linesOf(db)).map(outcomeOf)).toEqual(['begun', 'begun'])
      await db.write(endDeed, { id: ids[0] ?? 0, at: NOW + 5, affected: 100_000, error: '' })
      await db.write(endDeed, { id: ids[1] ?? 0, at: NOW + 6, affected: null, error: 'the disk is full' })
      const [failed, done] = await linesOf(db)
      expect(failed).toMatchObject({ endedAt: NOW + 6, affected: null, error: 'the disk is full' })
      expect(done).toMatchObject({ endedAt: NOW + 5, affected: 100_000, error: '' })
      expect([failed, done].map((line) => line && outcomeOf(line))).toEqual(['failed', 'done'])
    })

    test('numbers lines without a gap, also those that several instances write at once', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      await Promise.all(many(30, (index) => pick(dbs, index).write(beginDeed, deed({ subject: String(index) }))))
      const found = await linesOf(under.db)
      expect(found.map(({ id }) => id)).toEqual(many(30, (index) => 30 - index))
      expect(new Set(found.map(({ subject }) => subject)).size).toBe(30)
      await close(dbs)
    })

    test('is read page by page, and by who, what, about what, and when', async () => {
      await using under = await open()
      const { db } = under
      for (const [index, by] of ['@a:x', '@b:x', '@a:x', '@b:x', '@a:x'].entries()) {
        const action = index < 3 ? 'first' : 'second'
        await db.write(beginDeed, deed({ by, action, subject: `s${index}`, at: NOW + index }))
      }
      const ids = async (filter: Partial<AuditFilter>) => (await linesOf(db, filter)).map(({ id }) => id)
      expect(await ids({ by: '@a:x' })).toEqual([5, 3, 1])
      expect(await ids({ by: '@a:x', action: 'second' })).toEqual([5])
      expect(await ids({ subject: 's1' })).toEqual([2])
      expect(await ids({ since: NOW + 1, until: NOW + 3 })).toEqual([3, 2])
      const page = async (before: number | null) =>
        (await auditLines(db.read, { ...ANY, before, limit: 2 })).map(({ id }) => id)
      expect([await page(null), await page(4), await page(2), await page(1)]).toEqual([[5, 4], [3, 2], [1], []])
    })

    test('forgets what is old in batches, but never its last line: no number comes twice', async () => {
      await using under = await open()
      const { db } = under
      for (let index = 0; index < 5; index++) await db.write(beginDeed, deed({ at: NOW + index }))
      expect(await db.write(forgetDeeds, { before: NOW + 2, limit: 500 })).toBe(2)
      expect(await db.write(forgetDeeds, { before: NOW + 100, limit: 1 })).toBe(1)
      expect(await db.write(forgetDeeds, { before: NOW + 100, limit: 500 })).toBe(1)
      expect(await db.write(forgetDeeds, { before: NOW + 100, limit: 500 })).toBe(0)
      expect((await linesOf(db)).map(({ id }) => id)).toEqual([5])
      expect(await db.write(beginDeed, deed())).toBe(6)
    })
  })
}
