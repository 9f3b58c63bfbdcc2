import { expect, test } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { recordingLog } from '../../test/support/log.ts'
import { openDatabase } from '../db/connect.ts'
import { commitMedia, touchMedia } from '../db/media.ts'
import { Records } from './records.ts'

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
  const records = new Records(db)
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
  const records = new Records(opened.db)
  expect(await records.find('example.org', 'a')).toBeUndefined()
  await opened.db.write(commitMedia, media('a'))
  expect((await records.find('example.org', 'a'))?.mediaId).toBe('a')
})

test('a commit between the question and the answer is not missed by the next', async () => {
  await using opened = await open()
  const { db } = opened
  await db.write(commitMedia, media('a'))
  const records = new Records(db)
  for (let at = 1001; at < 1200; at++) {
    const [found] = await Promise.all([
      records.find('example.org', 'a'),
      db.write(touchMedia, [{ origin: 'example.org', mediaId: 'a', at }]),
    ])
    expect([at - 1, at]).toContain(found?.accessedAt)
    expect((await records.find('example.org', 'a'))?.accessedAt).toBe(at)
  }
})
