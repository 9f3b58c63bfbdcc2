import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import { type MediaClient, mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

describeWith('postgres', 'Two servers on one database and one folder', () => {
  let pair: Pair
  beforeAll(async () => void (pair = await startPair()))
  afterAll(() => pair[Symbol.asyncDispose]())

  test('store the same bytes once, however many send them to both at once', async () => {
    const { first, second } = pair.newUser()
    const before = (await pair.objects()).length
    const bytes = randomBytes(50_000)
    const uploads = await Promise.all(
      Array.from({ length: 100 }, (_, index) => (index % 2 ? first : second).upload(bytes, `${index}.bin`)),
    )
    expect(new Set(uploads.map(({ status }) => status))).toEqual(new Set([200]))
    const media = new Set(uploads.map((upload) => upload.media))
    expect(media.size).toBe(100)
    expect(await pair.objects()).toHaveLength(before + 1)
    expect(await pair.query('SELECT count(*)::int AS count FROM cellarium.objects')).toEqual([{ count: before + 1 }])
    for (const one of [...media].slice(0, 4)) {
      for (const client of [first, second]) {
        expect(await client.download(one)).toEqual({ status: 200, body: bytes })
      }
    }
  })

  test('give the same user one URI for the same bytes and name that come to both at once', async () => {
    const { first, second } = pair.newUser()
    const before = (await pair.objects()).length
    const bytes = randomBytes(5000)
    const uploads = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 ? first : second).upload(bytes, 'same.bin')),
    )
    expect(new Set(uploads.map(({ media }) => media)).size).toBe(1)
    expect(await pair.objects()).toHaveLength(before + 1)
  })

  test('wake who waits at one for what is uploaded at the other', async () => {
    const { first, second } = pair.newUser()
    // Looking by itself once a second, a waiter would take most of one each time: five in a row show the difference.
    let took = 0
    for (let round = 0; round < 5; round++) {
      const media = await first.create()
      const { waiting } = await pair.wait(first, media)
      const body = randomBytes(1000)
      expect(await second.fill(media, body)).toBe(200)
      const began = performance.now()
      expect(await waiting).toEqual({ status: 200, body })
      took += performance.now() - began
    }
    expect(took).toBeLessThan(2000)
  })

  test('refuse a token at both once it was logged out at one', async () => {
    const { first, second } = pair.newUser()
    const { media } = await first.upload(randomBytes(1000))
    expect(await second.download(media)).toMatchObject({ status: 200 })
    const asked = pair.homeserver.count('whoami')
    expect(await second.download(media)).toMatchObject({ status: 200 })
    expect(pair.homeserver.count('whoami'), 'the token is kept').toBe(asked)
    expect(await first.logout()).toBe(200)
    await vi.waitFor(async () => expect((await second.upload(randomBytes(1000))).status).toBe(401), 10_000)
  })

  test('hear each other again after PostgreSQL ended their connections', async () => {
    const { first, second } = pair.newUser()
    await pair.cutMessages()
    await pair.untilListening()
    const media = await first.create()
    const { waiting } = await pair.wait(first, media)
    const body = randomBytes(1000)
    expect(await second.fill(media, body)).toBe(200)
    expect(await waiting).toEqual({ status: 200, body })
    const { media: own } = await first.upload(randomBytes(1000))
    expect(await second.download(own)).toMatchObject({ status: 200 })
    expect(await first.logout()).toBe(200)
    await vi.waitFor(async () => expect((await second.upload(randomBytes(1000))).status).toBe(401), 10_000)
  })

  test('take no token for good that was logged out while they did not hear each other', async () => {
    const { first, second } = pair.newUser()
    expect(await second.upload(randomBytes(1000))).toMatchObject({ status: 200 })
    await pair.cutMessages()
    expect(await first.logout()).toBe(200)
    await pair.untilListening()
    await vi.waitFor(async () => expect((await second.upload(randomBytes(1000))).status).toBe(401), 10_000)
  })
})

interface Pair extends AsyncDisposable {
  /** Somebody with a token of their own, at one server and at the other. */
  readonly newUser: () => { readonly first: MediaClient; readonly second: MediaClient }
  readonly homeserver: HomeserverDouble
  readonly objects: () => Promise<string[]>
  readonly query: (statement: string) => Promise<unknown[]>
  /** Downloads, and resolves when the server has looked in vain and waits. */
  readonly wait: (
    client: MediaClient,
    media: string,
  ) => Promise<{ readonly waiting: ReturnType<MediaClient['download']> }>
  /** Ends the connections over which the servers tell each other things. */
  readonly cutMessages: () => Promise<void>
  /** Waits until both listen. */
  readonly untilListening: () => Promise<void>
}

async function startPair(): Promise<Pair> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const { url } = cleanup.use(await freshDatabase())
  const homeserver = cleanup.use(await startHomeserver())
  const mediaFolder = join(folder, 'media')
  const config = {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url }],
    database: { postgres: url },
    datastores: [{ type: 'file', id: 'shared', forKinds: ['all'], opts: { path: mediaFolder } }],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    uploads: { minBytes: 0 },
  }
  const started = await Promise.all(['a', 'b'].map((name) => startServer({ folder: join(folder, name), config })))
  const [first, second] = started.map((server: Server) => cleanup.use(server))
  if (!first || !second) throw new Error('two servers were started')
  const client = new pg.Client({ connectionString: url, application_name: 'the test' })
  await client.connect()
  cleanup.defer(() => client.end())
  const query = async (statement: string): Promise<unknown[]> => (await client.query(statement)).rows
  let users = 0
  const owned = cleanup.move()
  return {
    newUser: () => {
      const name = `user${users++}`
      homeserver.addUser({ token: `token-of-${name}`, userId: `@${name}:example.org` })
      return { first: mediaClient(first, `token-of-${name}`), second: mediaClient(second, `token-of-${name}`) }
    },
    homeserver,
    query,
    objects: async () => {
      const entries = await readdir(mediaFolder, { recursive: true, withFileTypes: true })
      return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
    },
    wait: async (client, media) => {
      const [{ now } = { now: '' }] = (await query('SELECT clock_timestamp()::text AS now')) as { now: string }[]
      const waiting = client.download(media)
      const looks = `SELECT 1 FROM pg_stat_activity WHERE query_start > '${now}' AND query LIKE 'select%"media" inner join%'`
      await vi.waitFor(async () => expect(await query(looks)).not.toEqual([]), 10_000)
      return { waiting }
    },
    cutMessages: async () => {
      await query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cellarium-notifier' AND datname = current_database()`,
      )
      await vi.waitFor(async () => expect(await query(LISTENERS)).toEqual([]), 10_000)
    },
    untilListening: async () => {
      await vi.waitFor(async () => expect(await query(LISTENERS)).toHaveLength(2), { timeout: 10_000 })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const LISTENERS = `SELECT 1 FROM pg_stat_activity WHERE application_name = 'cellarium-notifier' AND query <> ''`
