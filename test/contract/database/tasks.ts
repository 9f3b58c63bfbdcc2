import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/connect.ts'
import { lastRun, noteRun } from '../../../src/db/jobs.ts'
import { isLeased, takeLease } from '../../../src/db/leases.ts'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import {
  addTask,
  lastTasks,
  cancelTask,
  endTask,
  findTask,
  type JsonObject,
  retryTask,
  saveProgress,
  sweepTasks,
  unfinishedTasks,
} from '../../../src/db/tasks.ts'
import { commitThumbnail, findThumbnail } from '../../../src/db/thumbnails.ts'
import { countedPage, moveObject, objectsPage } from '../../../src/db/transfer.ts'
import { deleteLater, forgetUnused, unusedPlaces } from '../../../src/db/unused.ts'
import { foldUsage, usageOf } from '../../../src/db/usage.ts'
import { openMetrics } from '../../../src/lib/metrics.ts'
import { ledgerJob } from '../../../src/tasks/ledger.ts'
import { close, many, media, NOW, object, objects, type OpenDatabase, pick, table, thumbnail } from './support.ts'

const lease = (token: string) => ({ name: 'task copying', token })
const LONG = 600_000
const DAY_MS = 24 * 3_600_000

async function add(db: Database, params: JsonObject = {}, sameAs?: JsonObject) {
  const task = { name: 'copying', params, progress: { done: 0 }, startedAt: NOW }
  return await db.write(addTask, sameAs ? { ...task, sameAs } : task)
}

/** A task that is held under a lease with this token. */
async function held(db: Database, token: string) {
  const { id } = await add(db)
  expect(await db.write(takeLease, { ...lease(token), ms: LONG })).toBe(true)
  return { id, lease: lease(token) }
}

const RAN = { job: 'sweeping', error: '', durationMs: 12, report: null, againInMs: null }

export function tasksContract(open: OpenDatabase): void {
  describe('Tasks', () => {
    test('get numbers of their own, whoever writes them down at once', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      const added = await Promise.all(many(20, (index) => add(pick(dbs, index), { index })))
      expect(added.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual(many(20, (index) => index + 1))
      const tasks = await lastTasks(under.db.read, { before: null, limit: 100 })
      expect(tasks.map(({ id }) => id)).toEqual(many(20, (index) => index + 1))
      expect(tasks[0]).toMatchObject({
        name: 'copying',
        progress: { done: 0 },
        startedAt: NOW,
        endedAt: null,
        error: '',
      })
      await close(dbs)
    })

    test('that are the same as an unfinished one are that one', async () => {
      await using under = await open()
      const { db } = under
      const first = await add(db, { from: 'a', at: 1 })
      expect(await add(db, { from: 'a', at: 2 }, { from: 'a' })).toEqual({ id: first.id, isNew: false })
      expect(await add(db, { from: 'b', at: 2 }, { from: 'b' })).toMatchObject({ isNew: true })
      await db.write(cancelTask, { id: first.id, at: NOW })
      expect(await add(db, { from: 'a', at: 3 }, { from: 'a' })).toMatchObject({ isNew: true })
    })

    test('are changed by whoever holds their lease only, and end once', async () => {
      await using under = await open()
      const { db } = under
      const mine = await held(db, 'mine')
      expect(await db.write(saveProgress, { ...mine, progress: { done: 1 } })).toBe('held')
      const theirs = { id: mine.id, lease: lease('theirs') }
      expect(await db.write(saveProgress, { ...theirs, progress: { done: 2 } })).toBe('lost')
      await db.write(endTask, { ...theirs, error: 'wrong', at: NOW })
      expect(await findTask(db.read, mine.id)).toMatchObject({ progress: { done: 1 }, endedAt: null })
      await db.write(endTask, { ...mine, error: 'full', at: NOW + 1 })
      expect(await findTask(db.read, mine.id)).toMatchObject({ endedAt: NOW + 1, error: 'full' })
      expect(await isLeased(db.read, 'task copying')).toBe(false)
      expect(await unfinishedTasks(db.read)).toEqual([])
      expect(await db.write(cancelTask, { id: mine.id, at: NOW })).toBe(false)
    })

    test('tell who works on them that somebody cancelled them', async () => {
      await using under = await open()
      const { db } = under
      const mine = await held(db, 'mine')
      expect(await db.write(cancelTask, { id: mine.id, at: NOW })).toBe(true)
      expect(await db.write(cancelTask, { id: mine.id, at: NOW + 9 })).toBe(true)
      expect(await db.write(saveProgress, { ...mine, progress: { done: 5 } })).toBe('cancelled')
      expect(await findTask(db.read, mine.id)).toMatchObject({ cancelledAt: NOW, progress: { done: 5 } })
    })

    test('that went wrong are begun again once, by whoever asks, without progress; others are not', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another()]
      const { db } = under
      const params = { from: 'a', sizes: [1, 2], deep: { to: 'b' } }
      const mine = { ...(await add(db, params)), lease: lease('mine') }
      const again = (id = mine.id, of = db) => of.write(retryTask, { id, at: NOW + 5 })
      expect(await again()).toEqual({ outcome: 'unfinished' })
      expect(await again(99)).toEqual({ outcome: 'not_found' })
      await db.write(takeLease, { ...lease('mine'), ms: LONG })
      await db.write(saveProgress, { ...mine, progress: { done: 3 } })
      await db.write(endTask, { ...mine, error: 'full', at: NOW + 1 })
      const results = await Promise.all(many(6, (index) => again(mine.id, pick(dbs, index))))
      expect(results.filter((result) => 'isNew' in result && result.isNew)).toHaveLength(1)
      expect(new Set(results.map((result) => 'id' in result && result.id))).toEqual(new Set([2]))
      expect(await findTask(db.read, 2)).toEqual({
        id: 2,
        name: 'copying',
        params,
        progress: {},
        startedAt: NOW + 5,
        endedAt: null,
        cancelledAt: null,
        error: '',
        retryOf: 1,
      })
      expect(await findTask(db.read, 1)).toMatchObject({ error: 'full', progress: { done: 3 }, retryOf: null })
      await db.write(takeLease, { ...lease('mine'), ms: LONG })
      await db.write(endTask, { id: 2, lease: lease('mine'), error: '', at: NOW + 9 })
      expect(await again(2)).toEqual({ outcome: 'done' })
      expect(await again(1)).toEqual({ outcome: 'begun', id: 3, isNew: true })
      await close(dbs)
    })

    test('are listed from the last one back, and forgotten by when they ended, but for the last', async () => {
      await using under = await open()
      const { db } = under
      for (let index = 0; index < 7; index++) await add(db)
      const tasks = table(db, 'tasks')
      await under.execute(`UPDATE ${tasks} SET ended_at = id * 10 WHERE id <> 2`)
      const listed = async (before: number | null, limit: number) =>
        (await lastTasks(db.read, { before, limit })).map(({ id }) => id)
      expect(await listed(null, 3)).toEqual([5, 6, 7])
      expect(await listed(5, 3)).toEqual([2, 3, 4])
      expect(await listed(2, 3)).toEqual([1])
      expect(await db.write(sweepTasks, { before: 41, limit: 2 })).toBe(2)
      expect(await listed(null, 9)).toEqual([2, 4, 5, 6, 7])
      expect(await db.write(sweepTasks, { before: 41, limit: 2 })).toBe(1)
      expect(await db.write(sweepTasks, { before: 1000, limit: 10 })).toBe(2)
      expect(await listed(null, 9)).toEqual([2, 7])
      expect(await add(db)).toMatchObject({ id: 8 })
    })

    test('are kept for as many days as are configured, or for good', async () => {
      await using under = await open()
      const { db } = under
      const tasks = table(db, 'tasks')
      const left = async () => (await lastTasks(db.read, { before: null, limit: 1000 })).length
      const rows = many(601, (index) => `(${index + 1}, 'copying', '{}', '{}', 1, ${NOW - 5 * DAY_MS}, '')`)
      rows.push(`(700, 'copying', '{}', '{}', 1, ${NOW - 2 * DAY_MS}, '')`, `(701, 'copying', '{}', '{}', 1, null, '')`)
      const columns = 'id, name, params, progress, started_at, ended_at, error'
      await under.execute(`INSERT INTO ${tasks} (${columns}) VALUES ${rows.join()}`)
      const events = { log: pino({ level: 'silent' }), metrics: openMetrics({ version: 'test' }) }
      const forget = async (days: number) => {
        const job = ledgerJob({ db, clock: { now: () => NOW }, events }, () => days)
        await job.run({ lease: lease('mine'), signal: new AbortController().signal, last: undefined })
      }
      await forget(0)
      expect(await left()).toBe(603)
      await forget(6)
      expect(await left()).toBe(603)
      await forget(4)
      expect((await lastTasks(db.read, { before: null, limit: 9 })).map(({ id }) => id)).toEqual([700, 701])
    })
  })

  describe('Scheduled jobs', () => {
    test('are noted by whoever holds their lease, by the clock of the database', async () => {
      await using under = await open()
      const { db } = under
      const [mine, theirs] = [lease('mine'), lease('theirs')]
      expect(await lastRun(db.read, 'sweeping')).toBeUndefined()
      await db.write(takeLease, { ...mine, ms: LONG })
      await db.write(noteRun, { ...RAN, lease: theirs })
      expect(await lastRun(db.read, 'sweeping')).toBeUndefined()
      await db.write(noteRun, { ...RAN, lease: mine, error: 'full' })
      const last = await lastRun(db.read, 'sweeping')
      expect(last?.error).toBe('full')
      expect(last?.agoMs).toBeGreaterThanOrEqual(0)
      expect(last?.agoMs).toBeLessThan(60_000)
      expect(await isLeased(db.read, mine.name)).toBe(false)
      expect(last?.succeededAgoMs).toBeNull()
      for (const error of ['', 'full again']) {
        await db.write(takeLease, { ...mine, ms: LONG })
        await db.write(noteRun, { ...RAN, lease: mine, error })
      }
      const { error, succeededAgoMs } = (await lastRun(db.read, 'sweeping')) ?? {}
      expect(error).toBe('full again')
      expect(succeededAgoMs).toBeGreaterThanOrEqual(0)
      expect(succeededAgoMs).toBeLessThan(60_000)
    })
  })

  describe('An object that moves', () => {
    test('takes all its names, its usage and the progress along in one transaction, and leaves its old bytes to be deleted', async () => {
      await using under = await open()
      const { db } = under
      const [first, second] = [media(), media()]
      await db.write(commitMedia, first)
      await db.write(commitMedia, { ...second, object: first.object, uploader: '@b:example.org' })
      const small = thumbnail(first, { object: { ...first.object, fresh: false } })
      await db.write(commitThumbnail, small)
      const { fresh: _, ...stored } = first.object
      const to = { datastore: 'other', location: 'new place' }
      const move = { ...(await held(db, 'mine')), object: stored, to, keepMs: 0, progress: { moved: 1 } }
      expect(await db.write(moveObject, move)).toBe('moved')
      for (const { origin, mediaId } of [first, second])
        expect(await findMedia(db.read, origin, mediaId)).toMatchObject(to)
      expect(await findThumbnail(db.read, small)).toMatchObject(to)
      for (let folded = 0; folded < 2; folded++) {
        expect(await usageOf(db.read, 'datastore:main')).toEqual({ bytes: 0, files: 0 })
        expect(await usageOf(db.read, 'datastore:other')).toEqual({ bytes: 100, files: 1 })
        await db.write(foldUsage, { limit: 100 })
      }
      expect(await findTask(db.read, move.id)).toMatchObject({ progress: { moved: 1 } })
      const { datastore, location } = first.object
      expect(await unusedPlaces(db.read, 10)).toEqual([{ datastore, location, isNamed: false }])
      expect(await db.write(moveObject, move)).toBe('changed')
    })

    test('stays where it is when its row or the task changed meanwhile', async () => {
      await using under = await open()
      const { db } = under
      const offered = media()
      await db.write(commitMedia, offered)
      const { fresh: _, ...stored } = offered.object
      const to = { datastore: 'other', location: 'new place' }
      const move = { ...(await held(db, 'mine')), to, keepMs: 0, progress: { moved: 1 } }
      const before = await objects(db)
      expect(await db.write(moveObject, { ...move, object: { ...stored, location: 'elsewhere' } })).toBe('changed')
      expect(await db.write(moveObject, { ...move, object: { ...stored, sha256: 'unknown' } })).toBe('changed')
      expect(await db.write(moveObject, { ...move, object: stored, lease: lease('theirs') })).toBe('lost')
      await db.write(endTask, { ...move, error: '', at: NOW })
      expect(await db.write(moveObject, { ...move, object: stored })).toBe('lost')
      expect(await objects(db)).toEqual(before)
      expect(await unusedPlaces(db.read, 10)).toEqual([])
      expect(await usageOf(db.read, 'datastore:other')).toEqual({ bytes: 0, files: 0 })
    })

    test('is found page by page, with whether it was read, what it is, and how many names it has', async () => {
      await using under = await open()
      const { db } = under
      for (const name of ['a', 'b', 'c']) {
        await db.write(commitMedia, media({ mediaId: name, object: object(name), contentType: `text/${name}` }))
      }
      await db.write(commitMedia, media({ mediaId: 'bb', object: object('b'), uploader: '@b:example.org' }))
      await db.write(commitThumbnail, thumbnail(media({ object: object('a') }), { object: object('thumbnail of a') }))
      await db.write(commitMedia, media({ object: { ...object('d'), datastore: 'other' } }))
      const at = async (after: string, readSince: number | null) =>
        await objectsPage(db.read, { datastore: 'main', after, limit: 2, readSince })
      expect((await at('', null)).map(({ location }) => location)).toEqual(['at a', 'at b'])
      expect((await at('at b', null)).map(({ location }) => location)).toEqual(['at c', 'at thumbnail of a'])
      expect(await at('at thumbnail of a', null)).toEqual([])
      await under.execute(`UPDATE ${table(db, 'media')} SET accessed_at = ${NOW + 5} WHERE media_id = 'bb'`)
      await under.execute(`UPDATE ${table(db, 'media')} SET accessed_at = NULL WHERE media_id = 'a'`)
      const marked = [...(await at('', NOW + 5)), ...(await at('at b', NOW + 5))]
      expect(marked.map(({ isRecent }) => isRecent)).toEqual([false, true, false, false])
      expect(marked.map(({ contentType }) => contentType)).toContain('image/png')
      const counted = await countedPage(db.read, { datastore: 'main', after: '', limit: 9, readSince: NOW + 5 })
      expect(counted.map(({ mediaNames, thumbnailNames }) => [mediaNames, thumbnailNames])).toEqual([
        [1, 0],
        [2, 0],
        [1, 0],
        [0, 1],
      ])
      expect(counted.map(({ isRecent }) => isRecent)).toEqual([false, true, false, false])
    })
  })

  describe('Bytes that are nobody’s', () => {
    test('are named once their time has come, and again when they were put off', async () => {
      await using under = await open()
      const { db } = under
      const place = { datastore: 'main', location: 'x' }
      await db.write(deleteLater, { ...place, afterMs: LONG })
      await db.write(deleteLater, { ...place, location: 'y', afterMs: 0 })
      await pause(5)
      expect(await unusedPlaces(db.read, 10)).toEqual([{ ...place, location: 'y', isNamed: false }])
      await db.write(deleteLater, { ...place, afterMs: 0 })
      await pause(5)
      expect(await unusedPlaces(db.read, 10)).toHaveLength(2)
      await db.write(forgetUnused, [place])
      expect(await unusedPlaces(db.read, 10)).toHaveLength(1)
    })

    test('are known to be somebody’s when a row names them', async () => {
      await using under = await open()
      const { db } = under
      const offered = media()
      await db.write(commitMedia, offered)
      const { datastore, location } = offered.object
      await db.write(deleteLater, { datastore, location, afterMs: 0 })
      await pause(5)
      expect(await unusedPlaces(db.read, 10)).toEqual([{ datastore, location, isNamed: true }])
    })
  })
}
