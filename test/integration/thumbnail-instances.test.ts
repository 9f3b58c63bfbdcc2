import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ALICE } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { noise } from '../support/images.ts'
import { mediaClient } from '../support/media-client.ts'
import { startRedis } from '../support/redis.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

/** A loaded machine takes its time. */
const PATIENT = { timeout: 30_000 }
const jpeg = async () => await noise({ width: 1600, height: 1200 }).jpeg().toBuffer()

describeWith('postgres', 'Two servers on one database that are asked for the same thumbnails', () => suite(false))

describeWith(['postgres', 'redis-server'], 'Two servers on one database, with Redis,', () => suite(true))

function suite(withRedis: boolean): void {
  let pair: Awaited<ReturnType<typeof startPair>>
  beforeAll(async () => void (pair = await startPair(withRedis)))
  afterAll(() => pair[Symbol.asyncDispose]())

  test('make each once, however many ask them', async () => {
    const media = await Promise.all(Array.from({ length: 3 }, async () => await pair.upload(await jpeg())))
    const asked = media.flatMap((one) =>
      [pair.first, pair.second].flatMap((server) => Array.from({ length: 20 }, () => pair.thumbnail(server, one))),
    )
    expect(new Set(await Promise.all(asked))).toEqual(new Set([200]))
    await pause(500)
    expect(pair.generated()).toBe(media.length)
    expect(await pair.leases()).toEqual([])
  })

  // The last one: it kills.
  test('go on without the one that is killed in the middle', async () => {
    // So that it has a worker: until now the other one may have made them all.
    expect(await pair.thumbnail(pair.first, await pair.upload(await jpeg()))).toBe(200)
    const media = await pair.upload(await jpeg())
    const before = pair.generated()
    const workers = await workersOf(pair.first)
    for (const worker of workers) process.kill(worker, 'SIGSTOP')
    const here = pair.thumbnail(pair.first, media).catch(() => 'broken')
    await vi.waitFor(async () => expect(await pair.leases()).toHaveLength(1), PATIENT)
    const there = Array.from({ length: 20 }, () => pair.thumbnail(pair.second, media))
    await pause(1000)
    expect(pair.generated(), 'the second waits for the first').toBe(before)
    await pair.first.stop('SIGKILL')
    for (const worker of workers) process.kill(worker, 'SIGKILL')
    expect(await here).toBe('broken')
    expect(new Set(await Promise.all(there))).toEqual(new Set([200]))
    await vi.waitFor(() => expect(pair.generated()).toBe(before + 1), PATIENT)
  })
}

/** The processes in which a server decodes. */
async function workersOf({ pid }: Server): Promise<readonly number[]> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean)
  const lines = await Promise.all(children.map((child) => readFile(`/proc/${child}/cmdline`, 'utf8')))
  const workers = children.filter((_, index) => lines[index]?.includes('worker.')).map(Number)
  expect(workers.length).toBeGreaterThan(0)
  return workers
}

async function startPair(withRedis: boolean) {
  await using cleanup = new AsyncDisposableStack()
  const { path: folder } = cleanup.use(await temporaryFolder())
  const { url } = cleanup.use(await freshDatabase())
  const redis = withRedis ? cleanup.use(await startRedis()) : undefined
  const homeserver = cleanup.use(await startHomeserver())
  homeserver.addUser(ALICE)
  const config = {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url }],
    database: { postgres: url },
    ...(redis ? { redis: { enabled: true, shards: [{ name: 'only', addr: redis.addr }] } } : {}),
    datastores: [{ type: 'file', id: 'shared', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
    repo: { jsonLogs: true },
    thumbnails: { numWorkers: 1 },
  }
  const started = await Promise.all(['a', 'b'].map((name) => startServer({ folder: join(folder, name), config })))
  const [first, second] = started.map((server) => cleanup.use(server))
  if (!first || !second) throw new Error('two servers were started')
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  cleanup.defer(() => client.end())
  const owned = cleanup.move()
  return {
    first,
    second,
    upload: async (bytes: Buffer) => (await mediaClient(first, ALICE.token).upload(bytes)).media,
    thumbnail: (server: Server, media: string) => mediaClient(server, ALICE.token).thumbnail(media),
    generated: () =>
      [first, second].flatMap(({ lines }) => lines.filter((line) => line.includes('thumbnail generated'))).length,
    leases: async () =>
      (await client.query(`SELECT name FROM cellarium.leases WHERE name LIKE 'thumbnail %'`)).rows as unknown[],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
