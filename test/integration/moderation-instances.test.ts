import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import { temporaryFolder } from '../support/folder.ts'
import { noise } from '../support/images.ts'
import { mediaClient } from '../support/media-client.ts'
import { startServer } from '../support/server.ts'
import { describeWith, freePort, freshDatabase } from '../support/services.ts'

const ADMIN = { token: 'token-of-admin', userId: '@admin:example.org' }
const ALICE = { token: 'token-of-alice', userId: '@alice:example.org' }

describeWith('postgres', 'Media that are hot in the caches of two servers on one database and one folder', () => {
  let pair: Pair
  beforeAll(async () => void (pair = await startPair()))
  afterAll(() => pair[Symbol.asyncDispose]())

  test('are refused by both in every way with the next request, once quarantined or deleted at one of them', async () => {
    const [first, second] = pair.servers
    for (let round = 0; round < 5; round++) {
      const [here, there] = round % 2 === 0 ? [first, second] : [second, first]
      const media = await here.upload(await noise({ width: 64, height: 48 }).png().toBuffer())
      for (const server of pair.servers) {
        const before = await server.hits()
        for (let time = 0; time < 4; time++) expect(await server.statuses(media)).toEqual(SERVED)
        expect(await server.hits(), 'its bytes are in memory').toBeGreaterThan(before)
        // Under load an instance may not hear the others for a moment, and keeps nothing then.
        await vi.waitFor(() => pair.withoutLookUps(() => server.statuses(media)), { timeout: 30_000 })
      }
      expect(await here.moderate('POST', `admin/quarantine/${media}`)).toEqual({ num_quarantined: 1 })
      expect(await there.statuses(media)).toEqual(REFUSED)
      expect(await here.statuses(media)).toEqual(REFUSED)

      expect(await there.moderate('DELETE', `admin/quarantine/${media}`)).toEqual({ num_released: 1 })
      for (let time = 0; time < 3; time++) {
        for (const server of pair.servers) expect(await server.statuses(media)).toEqual(SERVED)
      }
      expect(await there.moderate('DELETE', `download/${media}`)).toEqual({ purged: true })
      expect(await here.statuses(media)).toEqual(REFUSED)
      expect(await there.statuses(media)).toEqual(REFUSED)
    }
  })

  test('are refused by both once all of their uploader were quarantined or deleted at one of them', async () => {
    const [first, second] = pair.servers
    for (const [here, there] of [
      [first, second],
      [second, first],
    ] as const) {
      const own = `user/${ALICE.userId}`
      // More than fit in one page, so that several are told one after the other.
      await pair.seed(1250)
      const some: string[] = []
      for (let index = 0; index < 3; index++) {
        some.push(await here.upload(await noise({ width: 40, height: 30 }).png().toBuffer()))
      }
      const [pinned = '', ...others] = some
      await here.moderate('POST', `admin/media/${pinned}/attributes`, { purpose: 'pinned' })
      const everywhere = async (media: string, expected: readonly number[]) => {
        for (const server of pair.servers) expect(await server.statuses(media)).toEqual(expected)
      }
      for (let time = 0; time < 3; time++) for (const media of some) await everywhere(media, SERVED)

      expect(await here.moderate('POST', `admin/quarantine/${own}`)).toMatchObject({ num_quarantined: 1252, kept: 1 })
      for (const media of others) expect(await there.statuses(media)).toEqual(REFUSED)
      for (const media of others) await everywhere(media, REFUSED)
      await everywhere(pinned, SERVED)
      expect(await there.moderate('DELETE', `admin/quarantine/${own}`)).toMatchObject({ num_released: 1252 })
      for (let time = 0; time < 3; time++) for (const media of some) await everywhere(media, SERVED)
      expect(await there.moderate('POST', `admin/purge/${own}`)).toMatchObject({ total_removed: 1252, kept: 1 })
      for (const media of others) await everywhere(media, REFUSED)
      await everywhere(pinned, SERVED)
      await here.moderate('POST', `admin/media/${pinned}/attributes`, { purpose: 'none' })
      expect(await here.moderate('POST', `admin/purge/${own}`)).toMatchObject({ total_removed: 1 })
      await everywhere(pinned, REFUSED)
    }
  }, 120_000)
})

interface Way {
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

const WAYS: readonly Way[] = [
  {},
  { method: 'HEAD' },
  { headers: { range: 'bytes=0-9' } },
  { headers: { 'if-none-match': '*' } },
]
const SERVED = [200, 200, 206, 304, 200, 200, 206, 304]
const REFUSED = SERVED.map(() => 404)

interface Instance {
  readonly upload: (bytes: Buffer) => Promise<string>
  /** Those of a download and a thumbnail, in each way they can be asked for, all at once. */
  readonly statuses: (media: string) => Promise<number[]>
  readonly moderate: (method: string, path: string, body?: unknown) => Promise<unknown>
  /** How many objects it has answered from its memory. */
  readonly hits: () => Promise<number>
}

interface Pair extends AsyncDisposable {
  /** Rejects when records were looked up in the database for what was done. */
  readonly withoutLookUps: (work: () => Promise<unknown>) => Promise<void>
  readonly servers: readonly [Instance, Instance]
  /** Writes records of so many uploads of Alice's, without files. */
  readonly seed: (uploads: number) => Promise<void>
}

async function startPair(): Promise<Pair> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const { url } = cleanup.use(await freshDatabase())
  const homeserver = cleanup.use(await startHomeserver())
  for (const user of [ADMIN, ALICE]) homeserver.addUser(user)
  const start = async (name: string): Promise<Instance> => {
    const metricsPort = await freePort()
    const config = configuration(homeserver, url, join(folder, 'media'), metricsPort)
    const server = cleanup.use(await startServer({ folder: join(folder, name), config }))
    return instance(server.url, metricsPort)
  }
  const servers = await Promise.all([start('a'), start('b')])
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  cleanup.defer(() => client.end())
  const withoutLookUps = async (work: () => Promise<unknown>) => {
    const [{ now }] = (await client.query('SELECT clock_timestamp()::text AS now')).rows
    await work()
    expect((await client.query(LOOK_UPS, [now])).rows, 'records are kept').toEqual([])
  }
  let seeded = 0
  const seed = async (uploads: number) => {
    const [begin, end] = [seeded + 1, seeded + uploads]
    for (const statement of SEED) await client.query(statement, [begin, end])
    seeded = end
  }
  const owned = cleanup.move()
  return { servers, withoutLookUps, seed, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const SEED = [
  `INSERT INTO cellarium.objects (sha256, size, datastore, location, created_at)
   SELECT 'hash ' || n, 1, 'shared', 'none/' || n, 1 FROM generate_series($1::int, $2::int) n`,
  `INSERT INTO cellarium.media (origin, media_id, sha256, kind, content_type, uploader, created_at)
   SELECT 'example.org', 'seeded' || n, 'hash ' || n, 'upload', 'text/plain', '${ALICE.userId}', 1
   FROM generate_series($1::int, $2::int) n`,
]

const LOOK_UPS = `SELECT query FROM pg_stat_activity WHERE query_start > $1::timestamptz
  AND (query LIKE 'select%"media" inner join%' OR query LIKE 'select%"thumbnails" inner join%')`

function configuration(homeserver: HomeserverDouble, postgres: string, path: string, metricsPort: number) {
  return {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url }],
    database: { postgres },
    admins: [ADMIN.userId],
    datastores: [{ type: 'file', id: 'shared', forKinds: ['all'], opts: { path } }],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    uploads: { minBytes: 0 },
    quarantine: { replaceThumbnails: false },
    metrics: { enabled: true, bindAddress: '127.0.0.1', port: metricsPort },
  }
}

function instance(url: string, metricsPort: number): Instance {
  const client = mediaClient({ url }, ALICE.token)
  const call = (path: string, token: string, { headers, ...init }: Way = {}) =>
    fetch(`${url}/_matrix${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, 'x-forwarded-host': 'example.org', ...headers },
    })
  const status = async (path: string, init: Way) => {
    const answer = await call(path, ALICE.token, init)
    await answer.arrayBuffer()
    return answer.status
  }
  return {
    upload: async (bytes) => (await client.upload(bytes)).media,
    statuses: (media) =>
      Promise.all(
        ['download', 'thumbnail'].flatMap((kind) =>
          WAYS.map((way) => status(`/client/v1/media/${kind}/${media}?width=32&height=32`, way)),
        ),
      ),
    moderate: async (method, path, body) =>
      (
        await call(`/media/unstable/${path}`, ADMIN.token, { method, ...(body ? { body: JSON.stringify(body) } : {}) })
      ).json(),
    hits: async () => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
      return Number(/^media_cache_hits_total\{cache="media"\} (\d+)$/m.exec(text)?.[1] ?? 0)
    },
  }
}
