import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { startVersitygw } from '../support/versitygw.ts'

const ALICE = 'token-of-alice'
const PATIENT = { timeout: 120_000 }

describeWith('postgres', 'Four servers that start at once on an empty database and an empty folder', () => {
  test('all serve, and each has what was uploaded at another', PATIENT, async () => {
    await using folder = await temporaryFolder()
    const media = join(folder.path, 'media')
    const store = { type: 'file', id: 'shared', forKinds: ['all'], opts: { path: media } }
    await using cluster = await startCluster(4, folder.path, store)
    const bodies = cluster.servers.map(() => randomBytes(10_000))
    const uploads = await Promise.all(
      cluster.servers.map((server, index) => mediaClient(server, ALICE).upload(bodies[index] ?? Buffer.alloc(0))),
    )
    for (const [index, { status, media: name }] of uploads.entries()) {
      expect(status).toBe(200)
      const another = cluster.servers[(index + 1) % cluster.servers.length]
      if (!another) throw new Error('there are four servers')
      expect(await mediaClient(another, ALICE).download(name)).toEqual({ status: 200, body: bodies[index] })
    }
  })
})

describeWith(['postgres', 'versitygw'], 'Two servers on one database and one bucket', () => {
  test('store the same bytes once, however many send them to both at once', PATIENT, async () => {
    await using folder = await temporaryFolder()
    await using bucket = await startVersitygw()
    const store = { type: 's3', id: 'bucket', forKinds: ['all'], opts: bucket.options }
    await using cluster = await startCluster(2, folder.path, store)
    const clients = cluster.servers.map((server) => mediaClient(server, ALICE))
    const bytes = randomBytes(50_000)
    const uploads = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => await clients[index % 2]?.upload(bytes, `${index}.bin`)),
    )
    expect(new Set(uploads.map((upload) => upload?.status))).toEqual(new Set([200]))
    const names = uploads.map((upload) => upload?.media ?? '')
    expect(new Set(names).size).toBe(100)
    expect(await filesIn(bucket.folder)).toHaveLength(1)
    expect(await cluster.count('objects')).toBe(1)
    expect(await cluster.count('media')).toBe(100)
    for (const client of clients) {
      expect(await client.download(names[0] ?? '')).toEqual({ status: 200, body: bytes })
      expect(await client.download(names[99] ?? '')).toEqual({ status: 200, body: bytes })
    }
  })

  test('wake who waits at one for what is uploaded at the other', PATIENT, async () => {
    await using folder = await temporaryFolder()
    await using bucket = await startVersitygw()
    const store = { type: 's3', id: 'bucket', forKinds: ['all'], opts: bucket.options }
    await using cluster = await startCluster(2, folder.path, store)
    const [first, second] = cluster.servers.map((server) => mediaClient(server, ALICE))
    if (!first || !second) throw new Error('there are two servers')
    const media = await first.create()
    const waiting = first.download(media)
    const body = randomBytes(100_000)
    expect(await second.fill(media, body)).toBe(200)
    expect(await waiting).toEqual({ status: 200, body })
  })
})

interface Cluster extends AsyncDisposable {
  readonly servers: readonly Server[]
  /** Rows of a table. */
  readonly count: (table: string) => Promise<number>
}

/** So many servers, started at the same moment on an empty database. */
async function startCluster(size: number, folder: string, store: object): Promise<Cluster> {
  await using cleanup = new AsyncDisposableStack()
  const { url } = cleanup.use(await freshDatabase())
  const homeserver = cleanup.use(await startHomeserver())
  homeserver.addUser({ token: ALICE, userId: '@alice:example.org' })
  const config = {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url }],
    database: { postgres: url },
    datastores: [store],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    rateLimit: { enabled: false },
    uploads: { minBytes: 0 },
  }
  const starting = Array.from({ length: size }, (_, index) =>
    startServer({ folder: join(folder, `server${index}`), config }),
  )
  // Whatever becomes of one of them, those that started are ended.
  for (const started of await Promise.allSettled(starting))
    if (started.status === 'fulfilled') cleanup.use(started.value)
  const servers = await Promise.all(starting)
  const owned = cleanup.move()
  return {
    servers,
    count: async (table) => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      try {
        const { rows } = await client.query(`SELECT count(*)::int AS count FROM cellarium.${table}`)
        return Number(rows[0]?.count)
      } finally {
        await client.end()
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
