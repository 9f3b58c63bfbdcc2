import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { LocalNotifier } from '../../src/coordination/notifier.ts'
import { Redis } from '../../src/coordination/redis/redis.ts'
import type { RedisConfig } from '../../src/coordination/redis/targets.ts'
import { Datastores } from '../../src/datastores/datastores.ts'
import { openDatabase } from '../../src/db/connect.ts'
import { commitMedia, findMedia, type MediaRecord } from '../../src/db/media.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { storeObject } from '../../src/media/objects.ts'
import { chooseDatastore, DatastoreSizes } from '../../src/media/choose.ts'
import { fetchShared, shareRemote } from '../../src/media/shared-remote.ts'
import { chunksOf, collect } from '../support/bytes.ts'
import { redisConfig } from '../support/config.ts'
import { temporaryFolder } from '../support/folder.ts'
import { recordingLog } from '../support/log.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { describeWith } from '../support/services.ts'

const MXC = { origin: 'far.example', mediaId: 'abc' }
const URI = 'mxc://far.example/abc'

describeWith('redis-server', 'A file that one repository has fetched from its origin', () => {
  let server: RedisServer
  beforeAll(async () => void (server = await startRedis()))
  beforeEach(async () => void (await server.ask('FLUSHALL')))
  afterAll(() => server[Symbol.asyncDispose]())

  test.each([0, 1, 262_144, 3_000_001])('reaches another through Redis, %i bytes of it', async (size) => {
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    const bytes = randomBytes(size)
    const original = await one.fetchFromOrigin(bytes, { authenticated: true })
    await one.share(original)
    const taken = await other.take()
    expect(taken).toMatchObject({
      ...MXC,
      sha256: original.sha256,
      size,
      kind: 'remote',
      contentType: 'image/png',
      uploadName: 'ünicode.png',
      uploader: null,
    })
    expect(taken?.authenticatedAt, 'who may have it is said along with it').toEqual(expect.any(Number))
    expect(taken && (await other.read(taken))).toEqual(bytes)
    expect([one.counted('left'), other.counted('taken')]).toEqual([1, 1])
    expect(await other.staged(), 'nothing is left over').toBe(0)
  })

  test('is for authenticated callers only where the one that takes it freezes media', async () => {
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    await one.share(await one.fetchFromOrigin(randomBytes(10), { authenticated: false }))
    expect((await other.take(0, true))?.authenticatedAt).toEqual(expect.any(Number))
  })

  test('is taken once by many who ask at once', async () => {
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    const bytes = randomBytes(100_000)
    await one.share(await one.fetchFromOrigin(bytes))
    const all = await Promise.all(Array.from({ length: 10 }, () => other.take()))
    for (const record of all) expect(record && (await other.read(record))).toEqual(bytes)
  })

  test('stays where it is when it is too large to leave, or too large for who asks', async () => {
    await using small = await openRepository(server, { maxRemoteBytes: 999 })
    await small.share(await small.fetchFromOrigin(randomBytes(1000)))
    expect(await server.ask('DBSIZE')).toContain(':0\r\n')
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    await one.share(await one.fetchFromOrigin(randomBytes(1000)))
    expect(await other.take(999)).toBeUndefined()
    expect(await other.take(1000)).toBeDefined()
  })

  test('is neither left nor taken where its content is quarantined', async () => {
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    const bytes = randomBytes(1000)
    const record = await one.fetchFromOrigin(bytes)
    await one.share({ ...record, quarantinedAt: 1 })
    expect(await server.ask('DBSIZE')).toContain(':0\r\n')
    await one.share(record)
    other.quarantine(await other.fetchFromOrigin(bytes, { mediaId: 'of another name' }))
    expect(await other.take()).toBeUndefined()
    expect(await other.find()).toBeUndefined()
    await using third = await openRepository(server)
    const known = await third.fetchFromOrigin(bytes)
    third.quarantine(await third.fetchFromOrigin(bytes, { mediaId: 'of another name' }))
    await server.ask('FLUSHALL')
    await third.share(known)
    expect(await server.ask('DBSIZE')).toContain(':0\r\n')
  })

  test('is not taken when its bytes are not what was said of them, and the lie is dropped', async () => {
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    const record = await one.fetchFromOrigin(randomBytes(300_000))
    await one.share(record)
    await server.ask('SETRANGE', `cellarium:chunk:${record.sha256}:1`, '5', 'lies')
    expect(await other.take()).toBeUndefined()
    expect(other.wrong()).toBe(1)
    expect(await other.staged()).toBe(0)
    expect(await other.find()).toBeUndefined()
    expect(await other.redis.remoteFiles.find(URI), 'nobody else is led astray').toBeUndefined()
  })

  test('is asked of its origin when parts of it are gone, or Redis is', async () => {
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    const record = await one.fetchFromOrigin(randomBytes(300_000))
    await one.share(record)
    await server.ask('APPEND', `cellarium:chunk:${record.sha256}:0`, 'x')
    expect(await other.take()).toBeUndefined()
    await server.ask('DEL', `cellarium:chunk:${record.sha256}:0`)
    expect(await other.take()).toBeUndefined()
    expect(await other.staged()).toBe(0)
    server.signal('SIGSTOP')
    const began = performance.now()
    expect(await other.take()).toBeUndefined()
    await one.share(record)
    expect(performance.now() - began).toBeLessThan(8000)
    server.signal('SIGCONT')
  })

  test.each([
    ['nonsense', 'x'],
    [
      'a hash that is none',
      '{"sha256":"../../etc","size":1,"contentType":"a/b","uploadName":null,"authenticated":false}',
    ],
    [
      'an impossible size',
      `{"sha256":"${'a'.repeat(64)}","size":-1,"contentType":"a/b","uploadName":null,"authenticated":false}`,
    ],
    ['a missing name', `{"sha256":"${'a'.repeat(64)}","size":1,"contentType":"a/b","authenticated":false}`],
  ])('is not believed to be there when Redis says %s', async (_, description) => {
    await using one = await openRepository(server)
    await using other = await openRepository(server)
    await one.share(await one.fetchFromOrigin(randomBytes(10)))
    const key = /cellarium:remote:\w+/.exec(await server.ask('KEYS', 'cellarium:remote:*'))?.[0] ?? ''
    await server.ask('SET', key, description)
    expect(await other.take()).toBeUndefined()
  })
})

/** A repository with a database and a folder of its own. Fetching from origins is played: that part comes with federation. */
async function openRepository(server: RedisServer, options: Partial<RedisConfig> = {}) {
  await using cleanup = new AsyncDisposableStack()
  const { path: folder } = cleanup.use(await temporaryFolder())
  const { log } = recordingLog()
  const metrics = openMetrics({ version: 'test' })
  const pool = { maxConnections: 1, maxIdleConnections: 1 }
  const db = cleanup.use(await openDatabase({ sqlite: `${folder}/db.sqlite`, postgres: '', pool }, 'server', log))
  const datastores = cleanup.use(
    new Datastores({
      now: Date.now,
      random: Math.random,
      newName: () => randomBytes(6).toString('hex'),
      newKey: () => randomBytes(20).toString('hex'),
      stagingFolder: `${folder}/staging`,
      log,
      called: () => {},
      onAvailability: () => {},
    }),
  )
  await datastores.configure([{ type: 'file', id: 'main', forKinds: ['all'], opts: { path: `${folder}/media` } }])
  const config = redisConfig([server], options)
  const redis = cleanup.use(new Redis(config, { repository: folder, log, metrics, timeoutMs: 2000 }))
  await redis.configure(config)
  await vi.waitFor(() => expect(metrics.redisUp.of(server.addr, 'cache').state).toBe(1), { timeout: 15_000 })
  const events = { log, metrics }
  const datastoreSizes = new DatastoreSizes({ db, clock: systemClock })
  const notifier = new LocalNotifier({ log })
  const { remoteFiles } = redis
  const gates = { judge: async () => ({ action: 'allow', reports: [] }) as const, holdsRemote: false }
  const parts = { db, datastores, datastoreSizes, notifier, log, events, clock: systemClock, remoteFiles, gates }
  const usable = [{ id: 'main', forKinds: ['all'] }]

  const fetchFromOrigin = async (bytes: Buffer, { mediaId = MXC.mediaId, authenticated = false } = {}) => {
    const datastore = await chooseDatastore(parts, 'remote_media', usable)
    await using staged = await datastore.stage(chunksOf(bytes), { maxBytes: 0 })
    const media = { ...MXC, mediaId, authenticated, kind: 'remote', contentType: 'image/png', uploader: null } as const
    await storeObject(parts, staged, { datastore, contentType: media.contentType }, (object) =>
      db.write(commitMedia, { ...media, uploadName: 'ünicode.png', createdAt: Date.now(), reserved: false, object }),
    )
    const record = await findMedia(db.read, MXC.origin, mediaId)
    if (!record) throw new Error('the file was not recorded')
    return record
  }
  const owned = cleanup.move()
  return {
    redis,
    fetchFromOrigin,
    share: (record: MediaRecord) => shareRemote(parts, record),
    take: (maxBytes = 0, freezeUnauthenticatedMedia = false) =>
      fetchShared(parts, {
        homeserver: { name: 'example.org', downloads: { maxBytes }, datastores: usable, freezeUnauthenticatedMedia },
        mxc: MXC,
        signal: new AbortController().signal,
      }),
    find: () => findMedia(db.read, MXC.origin, MXC.mediaId),
    read: async (record: MediaRecord) => {
      await using opened = await datastores.open(record)
      return opened.size === 0 ? Buffer.alloc(0) : await collect(opened.read({ start: 0, end: opened.size - 1 }))
    },
    quarantine: ({ mediaId }: MediaRecord) => {
      using sqlite = new DatabaseSync(`${folder}/db.sqlite`)
      sqlite.prepare('update media set quarantined_at = 1 where media_id = ?').run(mediaId)
    },
    staged: async () => (await readdir(`${folder}/media/.staging`)).length,
    counted: (outcome: string) => metrics.sharedRemote.of(outcome).value,
    wrong: () => metrics.redisWrong.of('remote file').value,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
