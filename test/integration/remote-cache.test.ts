import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Candidate } from '../../src/db/candidates.ts'
import { type Database, openDatabase } from '../../src/db/connect.ts'
import { LocalNotifier } from '../../src/coordination/notifier.ts'
import { commitMedia, findMedia } from '../../src/db/media.ts'
import { REMOTE, usageOf } from '../../src/db/usage.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { trimRemoteCache } from '../../src/media/remote-cache.ts'
import { remoteCacheJob } from '../../src/tasks/remote-cache.ts'
import { many, media, NOW, object } from '../contract/database/support.ts'
import { temporaryFolder } from '../support/folder.ts'
import { recordingLog } from '../support/log.ts'

const never = new AbortController().signal
const LATER = NOW + 60_000

describe('The media of other servers, once they take more than downloads.maxStoredBytes', () => {
  test('go, the least recently used first, until the rest fits', async () => {
    await using stored = await open()
    // More than one page of them, 100 bytes each.
    const ids = many(450, (index) => `m${String(index).padStart(3, '0')}`)
    for (const [index, mediaId] of ids.entries()) await stored.add({ mediaId, createdAt: NOW - 1000 + index })
    const trimmed = await trimRemoteCache(stored, 20_050, LATER, never)
    expect(trimmed).toEqual({ bytes: 20_000, removed: 250 })
    expect(stored.removed).toEqual(ids.slice(0, 250))
  })

  test('stay, when they fit or nothing limits them, whatever our own users store', async () => {
    await using stored = await open()
    for (const mediaId of ['a', 'b']) await stored.add({ mediaId })
    for (const mediaId of ['c', 'd', 'e']) await stored.add({ mediaId, kind: 'upload', origin: 'example.org' })
    expect(await trimRemoteCache(stored, 200, LATER, never)).toEqual({ bytes: 200, removed: 0 })
    expect(await trimRemoteCache(stored, 0, LATER, never)).toEqual({ bytes: 200, removed: 0 })
    expect(await trimRemoteCache(stored, 199, LATER, never)).toEqual({ bytes: 100, removed: 1 })
    expect(stored.removed).toEqual(['a'])
  })

  test('go one by one, and no further once the server is told to stop', async () => {
    await using stored = await open()
    for (const mediaId of ['a', 'b', 'c']) await stored.add({ mediaId })
    const stopping = new AbortController()
    const remove = async (one: Candidate) => {
      stopping.abort()
      return await stored.remove(one)
    }
    expect(await trimRemoteCache({ ...stored, remove }, 1, LATER, stopping.signal)).toEqual({ bytes: 200, removed: 1 })
  })
})

test('The job removes them as a deletion does: records, usage and bytes, and no tombstone stands in the way', async () => {
  await using stored = await open()
  for (const [index, mediaId] of ['a', 'b', 'c'].entries()) await stored.add({ mediaId, createdAt: NOW + index })
  const deleted: string[] = []
  const { log, lines } = recordingLog()
  const events = { log, metrics: openMetrics({ version: 'test' }), reporter: { report() {} } as never }
  const datastores = { delete: async ({ location }: { location: string }) => void deleted.push(location) }
  await using notifier = new LocalNotifier({ log })
  const job = remoteCacheJob({ db: stored.db, datastores, notifier, events, clock: { now: () => LATER } }, () => 150)
  await job.run({ signal: never } as never)
  expect(await findMedia(stored.db.read, 'other.org', 'b')).toBeUndefined()
  expect(await findMedia(stored.db.read, 'other.org', 'c')).toBeDefined()
  expect(deleted).toHaveLength(2)
  expect(await usageOf(stored.db.read, REMOTE)).toEqual({ bytes: 100, files: 1 })
  expect(lines.at(-1)).toMatchObject({ removed: 2, bytes: 100 })
  await stored.add({ mediaId: 'a', createdAt: LATER, object: object('fetched again') })
})

interface Stored extends AsyncDisposable {
  readonly db: Database
  readonly removed: string[]
  readonly remove: (media: Candidate) => Promise<number>
  readonly add: (changes: Parameters<typeof media>[0] & { readonly mediaId: string }) => Promise<void>
}

async function open(): Promise<Stored> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const pool = { maxConnections: 1, maxIdleConnections: 1 }
  const sqlite = join(folder, 'db.sqlite')
  const db = cleanup.use(await openDatabase({ sqlite, postgres: '', pool }, 'server', pino({ level: 'silent' })))
  const removed: string[] = []
  const owned = cleanup.move()
  return {
    db,
    removed,
    remove: async ({ mediaId }) => {
      removed.push(mediaId)
      return 100
    },
    add: async (changes) => {
      const remote = media({
        kind: 'remote',
        origin: 'other.org',
        uploader: null,
        object: object(changes.mediaId),
        ...changes,
      })
      expect(await db.write(commitMedia, remote)).toMatchObject({ outcome: 'stored' })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
