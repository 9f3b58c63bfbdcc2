import { expect, test } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { recordingLog } from '../../test/support/log.ts'
import { auditLines } from '../db/audit.ts'
import { openDatabase } from '../db/connect.ts'
import { commitMedia } from '../db/media.ts'
import { findTask } from '../db/tasks.ts'
import { openMetrics } from '../lib/metrics.ts'
import { runTask } from './run-task.ts'
import { bulkKinds } from './bulk.ts'
import type { BulkWish } from '../media/bulk.ts'
import { type BulkRequestParts, moderateMany } from '../media/bulk-request.ts'

const ALICE = '@a:example.org'
const ASKER = {
  action: 'purge_user_media',
  subject: ALICE,
  actor: { by: '@admin:example.org', address: '192.0.2.7', requestId: 'r1' },
}
const wish = (verb: BulkWish['verb']): BulkWish => ({
  verb,
  selection: { by: 'user', userId: ALICE },
  before: 1000,
  within: { everywhere: true, serverName: null, userId: '@admin:example.org' },
})
const ALL = { by: null, action: null, subject: null, since: null, until: null, before: null, limit: 10 }

/** A database with so many uploads, and other instances that hear what is announced while `state.reachable`. */
async function setUp(uploads: number) {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder({}))
  const { log, lines } = recordingLog()
  const pool = { maxConnections: 1, maxIdleConnections: 1 }
  const db = cleanup.use(await openDatabase({ sqlite: `${folder.path}/db.sqlite`, postgres: '', pool }, 'server', log))
  const about = { origin: 'example.org', kind: 'upload' as const, contentType: 'text/plain', uploadName: null }
  const times = { createdAt: 1, authenticated: true, reserved: false, uploader: ALICE }
  await Promise.all(
    Array.from({ length: uploads }, (_, index) => {
      const object = { sha256: `hash ${index}`, size: 2, datastore: 'main', location: `at ${index}`, fresh: true }
      return db.write(commitMedia, { ...about, ...times, mediaId: `m${index}`, object })
    }),
  )
  const told: string[] = []
  const deleted: string[] = []
  const state = { reachable: true, storage: async () => {} }
  const parts: BulkRequestParts = {
    db,
    clock: { now: () => 5000 },
    events: {
      log,
      metrics: openMetrics({ version: '1' }),
      reporter: { report: () => {}, async [Symbol.asyncDispose]() {} },
    },
    datastores: {
      delete: async ({ location }) => {
        await state.storage()
        deleted.push(location)
      },
    },
    notifier: {
      notify: () => {},
      announce: async (_, message) => {
        if (!state.reachable) throw new Error('nobody hears')
        told.push(message)
      },
    },
  }
  const names = async () => (await db.read.selectFrom('media').select('media_id').execute()).length
  const inQuarantine = async () =>
    (await db.read.selectFrom('media').select('media_id').where('quarantined_at', 'is not', null).execute()).length
  const work = (id: number) => {
    const [kind] = bulkKinds(parts)
    if (!kind) throw new Error('there are three')
    return runTask({ ...parts, log, newToken: () => 'token' }, kind, id, { signal: new AbortController().signal })
  }
  const owned = cleanup.move()
  return {
    parts,
    state,
    told,
    deleted,
    lines,
    db,
    names,
    inQuarantine,
    work,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const patient = { signal: new AbortController().signal }

test('A purge whose caller does not wait goes on as a task, and the audit log has both', async () => {
  await using place = await setUp(250)
  const gone = new AbortController()
  gone.abort()
  const begun = await moderateMany(place.parts, wish('purge'), ASKER, gone)
  expect(begun.progress.done).toBe(100)
  expect(begun.affected).toHaveLength(100)
  expect(await place.names()).toBe(150)
  const id = begun.taskId ?? 0
  expect(await findTask(place.db.read, id)).toMatchObject({ name: 'purge_media', endedAt: null })

  expect(await place.work(id)).toBe(true)
  expect(await place.names()).toBe(0)
  expect(place.deleted).toHaveLength(250)
  expect(await findTask(place.db.read, id)).toMatchObject({
    endedAt: 5000,
    error: '',
    progress: { done: 250, bytes: 500 },
  })
  const lines = await auditLines(place.db.read, ALL)
  expect(lines.map(({ action, subject, affected }) => ({ action, subject, affected }))).toEqual([
    { action: 'purge_user_media', subject: ALICE, affected: 150 },
    { action: 'purge_user_media', subject: ALICE, affected: 100 },
  ])
})

const content = (messages: number) => Array.from({ length: messages }, () => 'content')

test('What could not be told to other instances is told with the next page, as a change of anything', async () => {
  await using place = await setUp(1200)
  let announcements = 0
  const { notifier } = place.parts
  const failing = {
    ...notifier,
    announce: async (...message: Parameters<typeof notifier.announce>) => {
      if (announcements++ === 5) throw new Error('nobody hears')
      await notifier.announce(...message)
    },
  }
  const done = await moderateMany({ ...place.parts, notifier: failing }, wish('quarantine'), ASKER, patient)
  expect(done).toMatchObject({ taskId: null, progress: { done: 1200 } })
  const kinds = place.told.map((message) => (JSON.parse(message) as { kind: string }).kind)
  // Two for each page of 200 names; the second of the third page failed.
  expect(kinds).toEqual([...content(5), 'all', ...content(4)])
})

test('A purge that other instances cannot be told of is no success, and asking again tells them', async () => {
  await using place = await setUp(3)
  place.state.reachable = false
  const failed = moderateMany(place.parts, wish('purge'), ASKER, patient)
  await expect(failed).rejects.toMatchObject({ reason: 'storage_unavailable', options: { retryAfterMs: 5000 } })
  expect(await place.names()).toBe(0)
  place.state.reachable = true
  expect(await moderateMany(place.parts, wish('purge'), ASKER, patient)).toMatchObject({ progress: { done: 0 } })
  expect(place.told).toEqual([JSON.stringify({ kind: 'all' })])
  const [, first] = await auditLines(place.db.read, ALL)
  expect(first?.error).toContain('other instances could not be told')
})

test('As a task, it is tried again until other instances can be told', async () => {
  await using place = await setUp(150)
  const gone = new AbortController()
  gone.abort()
  const { taskId } = await moderateMany(place.parts, wish('purge'), ASKER, gone)
  place.state.reachable = false
  const working = place.work(taskId ?? 0)
  await expect.poll(() => place.names(), { timeout: 30_000 }).toBe(0)
  place.state.reachable = true
  await working
  expect(await findTask(place.db.read, taskId ?? 0)).toMatchObject({ endedAt: 5000, error: '' })
  expect(place.told.at(-1)).toBe(JSON.stringify({ kind: 'all' }))
}, 60_000)

test('Storage that fails or hangs holds up no purge', async () => {
  for (const storage of [() => Promise.reject(new Error('the bucket is away')), () => new Promise<void>(() => {})]) {
    await using place = await setUp(350)
    place.state.storage = storage
    const began = performance.now()
    expect(await moderateMany(place.parts, wish('purge'), ASKER, patient)).toMatchObject({ progress: { done: 350 } })
    // One wait of two seconds, not four.
    expect(performance.now() - began).toBeLessThan(30_000)
    expect(await place.names()).toBe(0)
    const later = await place.db.read.selectFrom('unused_objects').select('location').execute()
    expect(later).toHaveLength(350)
  }
})

test('What comes while it works is not meant', async () => {
  await using place = await setUp(1)
  await place.parts.db.write(commitMedia, {
    origin: 'example.org',
    mediaId: 'new',
    kind: 'upload',
    contentType: 'text/plain',
    uploadName: 'another name',
    uploader: ALICE,
    createdAt: 1000,
    authenticated: true,
    reserved: false,
    object: { sha256: 'hash 0', size: 2, datastore: 'main', location: 'at 0', fresh: false },
  })
  expect((await moderateMany(place.parts, wish('purge'), ASKER, patient)).progress.done).toBe(1)
  expect(await place.names()).toBe(1)
  expect((await moderateMany(place.parts, wish('quarantine'), ASKER, patient)).progress.done).toBe(0)
  expect(await place.inQuarantine()).toBe(0)
})
