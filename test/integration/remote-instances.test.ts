import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { startRedis } from '../support/redis.ts'
import { asking, downloadOf, halved, startFederated, startRemoteServer } from '../support/remote.ts'
import { mixed, response } from '../support/scripted-origin.ts'
import { startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { startVersitygw } from '../support/versitygw.ts'

const MEBIBYTE = 1024 * 1024

describeWith(['postgres', 'openssl'], 'Two servers on one database that fetch files of another', () => {
  let pair: Awaited<ReturnType<typeof startPair>>
  beforeAll(async () => void (pair = await startPair()))
  afterAll(() => pair[Symbol.asyncDispose]())

  test('ask for each once, however many ask them', async () => {
    const files = Array.from({ length: 5 }, (_, index) => randomBytes(1000 + index * 200_000))
    const media = files.map((bytes) => pair.remote.put(bytes))
    const asked = media.flatMap((one, index) =>
      [pair.first, pair.second].flatMap((server) =>
        Array.from({ length: 10 }, async () => {
          const { status, body } = await pair.client(server).download(one)
          return status === 200 && body.equals(files[index] ?? Buffer.alloc(0))
        }),
      ),
    )
    expect(new Set(await Promise.all(asked))).toEqual(new Set([true]))
    expect(media.map((one) => pair.remote.asked(one))).toEqual([1, 1, 1, 1, 1])
    expect(await pair.query(`SELECT name FROM cellarium.leases WHERE name LIKE 'remote %'`)).toEqual([])
  })

  test('wait for each other', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const file = halved(bytes)
    const media = pair.remote.put(file.script)
    const here = pair.client(pair.first).download(media)
    await file.begun
    const there = pair.client(pair.second).download(media)
    await pause(500)
    file.goOn()
    for (const answer of [here, there]) expect((await answer).body.equals(bytes)).toBe(true)
    expect(pair.remote.asked(media)).toBe(1)
  })

  test('try themselves when the other one failed', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const file = halved(bytes)
    let isFirst = true
    const media = pair.remote.put(async (talk, request) => {
      if (!isFirst) return await talk.send(mixed(bytes))
      isFirst = false
      await file.script(talk, request)
    })
    const here = pair
      .client(pair.first)
      .download(media)
      .catch(() => 'broken')
    const talk = await file.begun
    const there = pair.client(pair.second).download(media)
    await pause(500)
    talk.reset()
    expect((await there).body.equals(bytes)).toBe(true)
    expect(await here).toBe('broken')
  })

  test('replace one that stands still in the middle, which changes nothing when it wakes up', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const file = halved(bytes)
    let isFirst = true
    const media = pair.remote.put(async (talk, request) => {
      if (!isFirst) return await talk.send(mixed(bytes))
      isFirst = false
      await file.script(talk, request)
    })
    const headers = { authorization: `Bearer ${ALICE.token}`, 'x-forwarded-host': 'example.org' }
    const here = await fetch(`${pair.first.url}${downloadOf(media)}`, { headers })
    pair.first.signal('SIGSTOP')
    const { body } = await pair.client(pair.second).download(media)
    expect(body.equals(bytes)).toBe(true)
    const record = `SELECT * FROM cellarium.media WHERE media_id = '${media.split('/')[1]}'`
    const [before] = await pair.query(record)
    pair.first.signal('SIGCONT')
    file.goOn()
    await expect(here.arrayBuffer()).rejects.toThrow('terminated')
    expect(await pair.query(record)).toEqual([before])
    expect((await pair.client(pair.first).download(media)).body.equals(bytes)).toBe(true)
    expect(pair.remote.asked(media)).toBe(2)
  })

  test('wait for each other also when they stood still before the first byte came', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const asked = Promise.withResolvers<void>()
    let isFirst = true
    const media = pair.remote.put(async (talk) => {
      if (!isFirst) return await talk.send(mixed(bytes))
      isFirst = false
      asked.resolve()
      await talk.onceHungUp
    })
    const here = pair.client(pair.first).download(media, 60_000)
    await asked.promise
    pair.first.signal('SIGSTOP')
    expect((await pair.client(pair.second).download(media, 60_000)).body.equals(bytes)).toBe(true)
    pair.first.signal('SIGCONT')
    expect((await here).body.equals(bytes)).toBe(true)
    expect(pair.remote.asked(media)).toBe(2)
  })

  test('wait no longer than all in all they were told to for what is not uploaded yet', async () => {
    const asked = Promise.withResolvers<void>()
    const media = pair.remote.put(async (talk) => {
      asked.resolve()
      await pause(3000)
      await talk.send(response(504, { errcode: 'M_NOT_YET_UPLOADED', error: 'later' }))
    })
    const here = pair.client(pair.first).download(media, 10_000)
    await asked.promise
    const there = await pair.client(pair.second).download(media, 2_000)
    expect([(await here).status, there.status]).toEqual([504, 504])
    expect(Number(pair.remote.timeouts(media)[1]), 'its time was over while it waited').toBe(1)
  })

  // The last one: it kills.
  test('go on without the one that is killed in the middle', async () => {
    const bytes = randomBytes(MEBIBYTE)
    const file = halved(bytes)
    let isFirst = true
    const media = pair.remote.put(async (talk, request) => {
      if (!isFirst) return await talk.send(mixed(bytes))
      isFirst = false
      await file.script(talk, request)
    })
    const here = pair
      .client(pair.first)
      .download(media)
      .catch(() => 'broken')
    await file.begun
    const there = pair.client(pair.second).download(media)
    await pause(500)
    await pair.first.stop('SIGKILL')
    expect(await here).toBe('broken')
    expect((await there).body.equals(bytes)).toBe(true)
    expect(pair.remote.asked(media)).toBe(2)
  })
})

describeWith(['redis-server', 'openssl'], 'Two repositories that share nothing but a Redis', () => {
  test('fetch a file of another server once', async () => {
    await using cleanup = new AsyncDisposableStack()
    const redis = cleanup.use(await startRedis())
    const remote = cleanup.use(await startRemoteServer())
    const homeserver = cleanup.use(await startHomeserver())
    homeserver.addUser(ALICE)
    const server = async () => {
      const { path: folder } = cleanup.use(await temporaryFolder())
      const { homeserver: keys, federation } = await asking(folder)
      const config = {
        homeservers: [{ name: homeserver.serverName, csApi: homeserver.url, ...keys }],
        redis: { enabled: true, shards: [{ name: 'one', addr: `127.0.0.1:${redis.port}` }] },
        federation,
      }
      return cleanup.use(await startServer({ folder, config, env: { NODE_EXTRA_CA_CERTS: remote.authority.file } }))
    }
    const [one, other] = [mediaClient(await server(), ALICE.token), mediaClient(await server(), ALICE.token)]
    const bytes = randomBytes(500_000)
    const media = remote.put(bytes)
    expect((await one.download(media)).body.equals(bytes)).toBe(true)
    await eventually(async () => (await redis.ask('KEYS', 'cellarium:remote:*')).includes('cellarium:remote:'))
    expect((await other.download(media)).body.equals(bytes)).toBe(true)
    expect(remote.asked(media)).toBe(1)
  })
})

describeWith(['versitygw', 'openssl'], 'A server that keeps its files in a bucket', () => {
  test('fetches those of other servers as well', async () => {
    await using bucket = await startVersitygw()
    const datastores = [{ type: 's3', id: 'bucket', forKinds: ['all'], opts: bucket.options }]
    await using world = await startFederated({ config: { datastores } })
    for (const size of [1000, 8 * MEBIBYTE]) {
      const bytes = randomBytes(size)
      const media = world.remote.put(bytes)
      for (let round = 0; round < 2; round++) {
        const { status, body } = await world.app.ask(downloadOf(media), { token: ALICE.token })
        expect([status, body.equals(bytes)]).toEqual([200, true])
      }
      expect(world.remote.asked(media)).toBe(1)
    }
  })
})

async function startPair() {
  await using cleanup = new AsyncDisposableStack()
  const { path: folder } = cleanup.use(await temporaryFolder())
  const { url } = cleanup.use(await freshDatabase())
  const remote = cleanup.use(await startRemoteServer())
  const homeserver = cleanup.use(await startHomeserver())
  homeserver.addUser(ALICE)
  const { homeserver: keys, federation } = await asking(folder)
  const config = {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url, ...keys }],
    database: { postgres: url },
    datastores: [{ type: 'file', id: 'shared', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
    federation,
  }
  const env = { NODE_EXTRA_CA_CERTS: remote.authority.file }
  const started = await Promise.all(['a', 'b'].map((name) => startServer({ folder: join(folder, name), config, env })))
  const [first, second] = started.map((server) => cleanup.use(server))
  if (!first || !second) throw new Error('two servers were started')
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  cleanup.defer(() => client.end())
  const owned = cleanup.move()
  return {
    first,
    second,
    remote,
    client: (server: typeof first) => mediaClient(server, ALICE.token),
    query: async (statement: string): Promise<unknown[]> => (await client.query(statement)).rows,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
