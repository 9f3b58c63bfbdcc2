import { expect, test } from 'vitest'
import { temporaryFolder } from '../../test/support/folder.ts'
import { recordingLog } from '../../test/support/log.ts'
import { openDatabase } from '../db/connect.ts'
import { commitMedia, findMedia } from '../db/media.ts'
import { openMetrics } from '../lib/metrics.ts'
import { type ModerationParts, type Moderator, quarantine, remove } from './moderation.ts'

const actor = { by: '@admin:example.org', address: '192.0.2.7', requestId: 'r1' }
const ADMIN: Moderator = { userId: '@admin:example.org', everywhere: true, serverName: null, actor }
const MXC = { origin: 'example.org', mediaId: 'a' }

/** A database with one upload, and other instances that cannot be told anything unless `told` takes it. */
async function setUp() {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder({}))
  const { log, lines } = recordingLog()
  const pool = { maxConnections: 1, maxIdleConnections: 1 }
  const db = cleanup.use(await openDatabase({ sqlite: `${folder.path}/db.sqlite`, postgres: '', pool }, 'server', log))
  const object = { sha256: 'abc', size: 1, datastore: 'main', location: 'there', fresh: true }
  const about = { kind: 'upload' as const, contentType: 'text/plain', uploadName: null, uploader: '@a:example.org' }
  await db.write(commitMedia, { ...MXC, ...about, createdAt: 1, authenticated: true, reserved: false, object })
  const told: string[] = []
  const deleted: string[] = []
  const state = { reachable: false }
  const parts: ModerationParts = {
    db,
    clock: { now: () => 5 },
    events: {
      log,
      metrics: openMetrics({ version: '1' }),
      reporter: { report: () => {}, async [Symbol.asyncDispose]() {} },
    },
    datastores: { delete: async ({ location }) => void deleted.push(location) },
    notifier: {
      announce: async (_, message) => {
        if (!state.reachable) throw new Error('nobody hears')
        told.push(message)
      },
    },
  }
  const owned = cleanup.move()
  return { parts, state, told, deleted, lines, db, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const CHANGED = JSON.stringify({ kind: 'content', sha256s: ['abc'] })

test('A quarantine that other instances could not be told of is no success, and telling is tried again with it', async () => {
  await using place = await setUp()
  const failed = quarantine(place.parts, ADMIN, MXC)
  await expect(failed).rejects.toMatchObject({ reason: 'storage_unavailable', options: { retryAfterMs: 5000 } })
  expect((await findMedia(place.db.read, 'example.org', 'a'))?.quarantinedAt).toBe(5)
  expect(place.lines.at(-1)?.msg).toContain('other instances could not be told')
  place.state.reachable = true
  expect(await quarantine(place.parts, ADMIN, MXC)).toBe(0)
  expect(place.told).toEqual([CHANGED])
})

test('Bytes stay until every instance was told of the deletion, and after one that failed until a sweep', async () => {
  await using place = await setUp()
  await expect(remove(place.parts, ADMIN, MXC)).rejects.toMatchObject({ reason: 'storage_unavailable' })
  expect(await findMedia(place.db.read, 'example.org', 'a')).toBeUndefined()
  expect(place.deleted).toEqual([])
  place.state.reachable = true
  await remove(place.parts, ADMIN, MXC)
  expect(place.told).toEqual([CHANGED])
})
