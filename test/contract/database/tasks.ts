import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/connect.ts'
import { lastRun, noteRun } from '../../../src/db/jobs.ts'
import { isLeased, takeLease } from '../../../src/db/leases.ts'
import { commitMedia, findMedia } from '../../../src/db/media.ts'
import {
  addTask,
  allTasks,
  cancelTask,
  endTask,
  findTask,
  type JsonObject,
  saveProgress,
  unfinishedTasks,
} from '../../../src/db/tasks.ts'
import { commitThumbnail, findThumbnail } from '../../../src/db/thumbnails.ts'
import { countedPage, moveObject, objectsPage } from '../../../src/db/transfer.ts'
import { deleteLater, forgetUnused, unusedPlaces } from '../../../src/db/unused.ts'
import { foldUsage, usageOf } from '../../../src/db/usage.ts'
import { close, many, media, NOW, object, objects, type OpenDatabase, pick, table, thumbnail } from './support.ts'

const lease = (token: string) => ({ name: 'task copying', token })
const LONG = 600_000

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
      const tasks = await allTasks(under.db.read)
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
