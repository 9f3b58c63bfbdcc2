import { expect, test, vi } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { recordingLog } from '../../test/support/log.ts'
import { LocalNotifier } from '../coordination/notifier.ts'
import { type Database, openDatabase } from '../db/connect.ts'
import { commitMedia, touchMedia } from '../db/media.ts'
import { quarantineContent, releaseContent } from '../db/moderation.ts'
import { markIntact, markLost } from '../db/object-care.ts'
import { commitThumbnail } from '../db/thumbnails.ts'
import { announceChanged, Records } from './records.ts'

const media = (mediaId: string) => ({
  origin: 'example.org',
  mediaId,
  reserved: false,
  kind: 'upload' as const,
  contentType: 'text/plain',
  uploadName: null,
  uploader: '@a:example.org',
  createdAt: 1000,
  authenticated: true,
  object: { sha256: mediaId, size: 1, datastore: 'main', location: mediaId, fresh: true },
})

async function open() {
  const folder = await temporaryFolder({})
  const options = {
    sqlite: `${folder.path}/db.sqlite`,
    postgres: '',
    pool: { maxConnections: 1, maxIdleConnections: 1 },
  }
  const db = await openDatabase(options, 'server', recordingLog().log)
  return {
    db,
    options,
    async [Symbol.asyncDispose]() {
      await db[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('a record is looked up once while nothing changes, and is as new as the last commit of anybody', async () => {
  await using opened = await open()
  const { db } = opened
  await db.write(commitMedia, media('a'))
  const records = new Records({ db, notifier: new LocalNotifier(recordingLog()) })
  const first = await records.find('example.org', 'a')
  expect(first?.accessedAt).toBe(1000)
  expect(await records.find('example.org', 'a')).toBe(first)

  await db.write(touchMedia, [{ origin: 'example.org', mediaId: 'a', at: 2000 }])
  expect((await records.find('example.org', 'a'))?.accessedAt).toBe(2000)

  await using tool = await openDatabase(opened.options, 'tool', recordingLog().log)
  await tool.write(touchMedia, [{ origin: 'example.org', mediaId: 'a', at: 3000 }])
  expect((await records.find('example.org', 'a'))?.accessedAt).toBe(3000)
})

test('what was not there is looked for again', async () => {
  await using opened = await open()
  const records = new Records({ db: opened.db, notifier: new LocalNotifier(recordingLog()) })
  expect(await records.find('example.org', 'a')).toBeUndefined()
  await opened.db.write(commitMedia, media('a'))
  expect((await records.find('example.org', 'a'))?.mediaId).toBe('a')
})

test('a commit between the question and the answer is not missed by the next', async () => {
  await using opened = await open()
  const { db } = opened
  await db.write(commitMedia, media('a'))
  const records = new Records({ db, notifier: new LocalNotifier(recordingLog()) })
  for (let at = 1001; at < 1200; at++) {
    const [found] = await Promise.all([
      records.find('example.org', 'a'),
      db.write(touchMedia, [{ origin: 'example.org', mediaId: 'a', at }]),
    ])
    expect([at - 1, at]).toContain(found?.accessedAt)
    expect((await records.find('example.org', 'a'))?.accessedAt).toBe(at)
  }
})

const KEY = { sourceSha256: 'a', width: 32, height: 32, method: 'scale', variant: 'still' }

/** PostgreSQL as records see it: a database that cannot say whether it changed, and other instances that are heard or not. */
function heard(db: Database) {
  const notifier = new LocalNotifier(recordingLog())
  const state = { attentive: true, asked: 0, hold: undefined as Promise<void> | undefined }
  const read = new Proxy(db.read, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (name !== 'executeQuery') return typeof value === 'function' ? value.bind(target) : value
      return async (...query: Parameters<typeof target.executeQuery>) => {
        state.asked++
        const rows = await target.executeQuery(...query)
        await state.hold
        return rows
      }
    },
  })
  const isAttentive = () => state.attentive
  const on = notifier.on.bind(notifier)
  const records = new Records({ db: { read, version: () => undefined }, notifier: { on, isAttentive } })
  const find = async () => (await records.find('example.org', 'a'))?.quarantinedAt
  const quarantine = () => db.write(quarantineContent, { sha256: 'a', origin: null, at: 5 })
  return { state, notifier, records, find, quarantine }
}

test('a record is kept while other instances are heard, and dropped by what they say, also for what is being looked up', async () => {
  await using opened = await open()
  await opened.db.write(commitMedia, media('a'))
  await opened.db.write(commitMedia, media('b'))
  const { state, notifier, records, find, quarantine } = heard(opened.db)
  for (let time = 0; time < 3; time++) expect(await find()).toBeNull()
  expect(state.asked).toBe(1)
  await announceChanged(notifier, ['b'])
  await find()
  expect(state.asked, 'what was said is about something else').toBe(1)

  await announceChanged(notifier, ['a'])
  const { promise, resolve } = Promise.withResolvers<void>()
  state.hold = promise
  const late = find()
  await vi.waitFor(() => expect(state.asked).toBe(2))
  await quarantine()
  await announceChanged(notifier, ['a'])
  resolve()
  expect(await late, 'asked before').toBeNull()
  expect(await find()).toBe(5)
  await find()
  expect(state.asked).toBe(3)
  await records.find('example.org', 'b')
  await announceChanged(notifier, 'all')
  await records.find('example.org', 'b')
  expect(state.asked).toBe(5)
})

test('no record is used or kept while other instances may not be heard', async () => {
  await using opened = await open()
  await opened.db.write(commitMedia, media('a'))
  const { state, notifier, find, quarantine } = heard(opened.db)
  expect(await find()).toBeNull()
  state.attentive = false
  await quarantine()
  expect(await find()).toBe(5)
  expect(await find()).toBe(5)
  expect(state.asked).toBe(3)

  // Not heard in between, and heard again before the answer came.
  const { promise, resolve } = Promise.withResolvers<void>()
  state.hold = promise
  const late = find()
  await vi.waitFor(() => expect(state.asked).toBe(4))
  await opened.db.write(releaseContent, { sha256: 'a' })
  notifier.notify('missed', '')
  state.attentive = true
  resolve()
  expect(await late).toBe(5)
  expect(await find()).toBeNull()
})

test('a thumbnail’s record is kept and dropped with its source or with its own bytes', async () => {
  await using opened = await open()
  const { db } = opened
  await db.write(commitMedia, media('a'))
  const object = { sha256: 't', size: 1, datastore: 'main', location: 't', fresh: true }
  const thumbnail = { ...KEY, contentType: 'image/png', createdAt: 1, object }
  const { state, notifier, records } = heard(db)
  expect(await records.findThumbnail(KEY)).toBeUndefined()
  await db.write(commitThumbnail, thumbnail)
  for (let time = 0; time < 3; time++) expect(await records.findThumbnail(KEY)).toMatchObject({ sha256: 't' })
  expect(await records.findThumbnail({ ...KEY, width: 96 })).toBeUndefined()
  expect(state.asked).toBe(3)
  for (const changed of ['t', 'a']) {
    await announceChanged(notifier, [changed])
    await records.findThumbnail(KEY)
  }
  expect(state.asked).toBe(5)
})

test('a record that says that its bytes are lost is not kept: nobody tells when they are found again', async () => {
  await using opened = await open()
  const { db } = opened
  await db.write(commitMedia, media('a'))
  const { records } = heard(db)
  const lost = { sha256: 'a', datastore: 'main', location: 'a' }
  await db.write(markLost, { ...lost, now: 7, damaged: false })
  expect((await records.find('example.org', 'a'))?.lostAt).toBe(7)
  await db.write(markIntact, lost)
  expect((await records.find('example.org', 'a'))?.lostAt).toBeNull()
})

test('a change of more than fits in a message is told in several, and one of very many as one of everything', async () => {
  const messages = await told(1000)
  expect(messages).toHaveLength(10)
  for (const message of messages) expect(message.length).toBeLessThan(7900)
  const hashes = messages.flatMap((message) => (JSON.parse(message) as { sha256s: string[] }).sha256s)
  expect(new Set(hashes).size).toBe(1000)
  expect(await told(1001)).toEqual(['{"kind":"all"}'])
  expect(await told(0)).toEqual([])
})

/** The messages that tell of so many changed contents. */
async function told(changed: number): Promise<string[]> {
  const messages: string[] = []
  const notifier = { announce: async (_: string, message: string) => void messages.push(message) }
  await announceChanged(
    notifier,
    Array.from({ length: changed }, (_, index) => String(index).padStart(64, 'f')),
  )
  return messages
}
