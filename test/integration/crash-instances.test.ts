import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { expectReadBack, expectWhole } from '../support/crash/checks.ts'
import { CLIENTS, emptyLedger, fillAgain, type Ledger, RESERVES, runClients, USERS } from '../support/crash/clients.ts'
import { expectSwept } from '../support/crash/sweep.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type Random, seededRandom } from '../support/random.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith } from '../support/services.ts'

const SERVER_KILLS = 16
const DATABASE_KILLS = 4
const PATIENT = 600_000
const random = seededRandom()
console.log(
  `crash-instances.test.ts: seed ${random.seed}; CELLARIUM_TEST_SEED=${random.seed} has the same moments again`,
)

describeWith('postgres', `Two servers on one database and one folder, under uploads (seed ${random.seed})`, () => {
  let cluster: Cluster
  beforeAll(async () => void (cluster = await startCluster(random)))
  afterAll(() => cluster[Symbol.asyncDispose]())

  test(`lose nothing when one or the other is killed, ${SERVER_KILLS} times`, { timeout: PATIENT }, async () => {
    const ledger = emptyLedger()
    await cluster.uploadDuring(ledger, async () => {
      for (let kill = 0; kill < SERVER_KILLS; kill++) {
        await untilAnswered(ledger, random.below(30))
        await pause(random.below(60))
        await cluster.killServer(random.below(2))
      }
    })
    expect(ledger.refusals, 'the one that lives refuses nothing').toEqual([])
    await cluster.expectNothingLost(ledger, SERVER_KILLS)
  })

  test(
    `lose nothing when PostgreSQL is killed, ${DATABASE_KILLS} times, and go on when it is back`,
    { timeout: PATIENT },
    async () => {
      const ledger = emptyLedger()
      await cluster.uploadDuring(ledger, async () => {
        for (let kill = 0; kill < DATABASE_KILLS; kill++) {
          await untilAnswered(ledger, 10 + random.below(30))
          await (kill % 2 === 0 ? cluster.killDatabaseProcess() : cluster.database.crash())
        }
        await untilAnswered(ledger, 20)
      })
      // Nothing that a client would take for its own mistake.
      expect(ledger.refusals.filter((status) => status < 500 && status !== 429)).toEqual([])
      await cluster.expectNothingLost(ledger, DATABASE_KILLS)
    },
  )
})

async function untilAnswered({ answered }: Ledger, more: number): Promise<void> {
  const enough = answered.size + more
  await vi.waitFor(() => expect(answered.size, 'uploads that were answered').toBeGreaterThanOrEqual(enough), {
    timeout: 120_000,
    interval: 2,
  })
}

interface Cluster extends AsyncDisposable {
  readonly database: PostgresServer
  /** Has clients upload to both while `work` goes on. */
  readonly uploadDuring: (ledger: Ledger, work: () => Promise<void>) => Promise<void>
  /** Kills one of the two servers and starts it again. */
  readonly killServer: (index: number) => Promise<void>
  /** Kills one of PostgreSQL's processes, after which it ends all others and recovers. */
  readonly killDatabaseProcess: () => Promise<void>
  /** Everything answered is there on both, every row has its object, and after one sweep every object its row. */
  readonly expectNothingLost: (ledger: Ledger, kills: number) => Promise<void>
}

async function startCluster(random: Random): Promise<Cluster> {
  await using cleanup = new AsyncDisposableStack()
  // One of its own, to be killed, that writes as those of administrators do.
  const database = await startPostgres({ fsync: true })
  if (!database) throw new Error('there are no programs to start a PostgreSQL with')
  cleanup.use(database)
  const folder = cleanup.use(await temporaryFolder()).path
  const homeserver = cleanup.use(await startHomeserver())
  for (const name of USERS) homeserver.addUser({ token: `token-of-${name}`, userId: `@${name}:example.org` })
  const mediaFolder = join(folder, 'media')
  const config = {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url }],
    database: { postgres: database.url },
    datastores: [{ type: 'file', id: 'shared', forKinds: ['all'], opts: { path: mediaFolder } }],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    rateLimit: { enabled: false },
    uploads: { minBytes: 0, maxPending: 0 },
  }
  const start = (index: number) => startServer({ folder: join(folder, String(index)), config })
  const servers: (Server | undefined)[] = await Promise.all([start(0), start(1)])
  cleanup.defer(async () => {
    for (const server of servers) await server?.[Symbol.asyncDispose]()
  })
  const living = (user: string) => {
    const up = servers.filter((server) => server !== undefined)
    const server = up[random.below(up.length)]
    return server && mediaClient(server, `token-of-${user}`)
  }
  const owned = cleanup.move()
  let runs = 0
  return {
    database,
    uploadDuring: async (ledger, work) => {
      let over = false
      const uploading = runClients({ name: `run${runs++}`, ledger, random, client: living, goesOn: () => !over })
      try {
        await Promise.race([work(), uploading])
      } finally {
        over = true
        await uploading
      }
    },
    killServer: async (index) => {
      const server = servers[index]
      servers[index] = undefined
      await server?.stop('SIGKILL')
      servers[index] = await start(index)
    },
    killDatabaseProcess: () => killOneBackend(database.url),
    expectNothingLost: async (ledger, kills) => {
      for (const server of servers) {
        if (!server) throw new Error('both servers run')
        await fillAgain(mediaClient(server, `token-of-${RESERVES}`), ledger)
        await expectReadBack(mediaClient(server, `token-of-alice`), ledger)
      }
      await withQueries(database.url, async (query) => {
        const orphans = await expectWhole({ mediaFolder, query })
        expect(orphans.length).toBeLessThanOrEqual(kills * (CLIENTS + 1))
        await expectSwept({ mediaFolder, query }, servers[0]?.configFile ?? '', orphans)
      })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function killOneBackend(url: string): Promise<void> {
  const find = `SELECT pid FROM pg_stat_activity WHERE application_name = 'cellarium' LIMIT 1`
  const [backend] = await withQueries(url, (query) => query(find))
  if (!backend) throw new Error('no server is connected')
  process.kill(Number(backend['pid']), 'SIGKILL')
}

type Query = (statement: string) => Promise<readonly Record<string, unknown>[]>

async function withQueries<Result>(url: string, work: (query: Query) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=cellarium' })
  await client.connect()
  try {
    return await work(async (statement) => (await client.query(statement)).rows)
  } finally {
    await client.end()
  }
}
