import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { expectReadBack, expectWhole, type Repository } from '../support/crash/checks.ts'
import {
  CLIENTS,
  emptyLedger,
  fillAgain,
  type Ledger,
  RESERVES,
  runClients,
  type User,
  USERS,
} from '../support/crash/clients.ts'
import { expectSwept } from '../support/crash/sweep.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Random, seededRandom } from '../support/random.ts'
import { type Server, startServer } from '../support/server.ts'

/** Two repositories whose servers die in turn take half the time of one. */
const REPOSITORIES = [1, 2]
const ROUNDS = 50
const PATIENT = { timeout: 600_000 }
const seed = seededRandom().seed
console.log(`crash.test.ts: seed ${seed}; CELLARIUM_TEST_SEED=${seed} has the same moments again`)

describe.concurrent(`A server on SQLite that is killed ${ROUNDS} times at any moment (seed ${seed})`, () => {
  test.for(REPOSITORIES)(
    'has everything it answered, and nothing by halves: repository %i',
    PATIENT,
    async (number) => {
      await using repository = await openRepository(seededRandom(seed + number))
      for (let round = 0; round < ROUNDS; round++) await (round % 8 === 7 ? killAtStart : killAtWork)(repository, round)

      await using server = await repository.start()
      const client = repository.client(server, RESERVES)
      await fillAgain(client, repository.ledger)
      await expectReadBack(client, repository.ledger)
      await server.stop()
      const { answered, thumbnails, refusals } = repository.ledger
      expect(refusals).toEqual([])
      expect(answered.size, 'uploads that were answered').toBeGreaterThan(ROUNDS)
      expect(thumbnails, 'thumbnails that were answered').toBeGreaterThan(0)
      using records = openRecords(repository.folder)
      const orphans = await expectWhole(records)
      // Each kill leaves at most what each client was just about to store, with a thumbnail where it waited for one.
      expect(orphans.length).toBeLessThanOrEqual(ROUNDS * (CLIENTS + 1))
      await expectSwept(records, server.configFile, orphans)
      await records.expectIntact()
    },
  )
})

interface CrashedRepository extends AsyncDisposable {
  readonly folder: string
  readonly ledger: Ledger
  readonly random: Random
  /** Starts its server on what the last one left; with `killAfterMs` it may be dead before it is ready. */
  readonly start: (killAfterMs?: number) => Promise<Server>
  readonly client: (server: Server, user: User) => ReturnType<typeof mediaClient>
}

async function openRepository(random: Random): Promise<CrashedRepository> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const homeserver = cleanup.use(await startHomeserver())
  for (const name of USERS) homeserver.addUser({ token: `token-of-${name}`, userId: `@${name}:example.org` })
  const owned = cleanup.move()
  return {
    folder,
    ledger: emptyLedger(),
    random,
    start: (killAfterMs) => startServer({ folder, config: configuration(homeserver), wrap: killing(killAfterMs) }),
    client: (server, user) => mediaClient(server, `token-of-${user}`),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function configuration({ serverName, url }: HomeserverDouble) {
  return {
    homeservers: [{ name: serverName, csApi: url }],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    rateLimit: { enabled: false },
    uploads: { minBytes: 0, maxPending: 0 },
  }
}

/** coreutils' timeout, which kills the server whatever it is doing. */
function killing(afterMs: number | undefined): string[] {
  return afterMs === undefined ? [] : ['timeout', '-s', 'KILL', String(afterMs / 1000)]
}

/** Kills it under uploads: after so many answers, and then at any moment. */
async function killAtWork(repository: CrashedRepository, round: number): Promise<void> {
  const { ledger, random } = repository
  await using server = await repository.start()
  await fillAgain(repository.client(server, RESERVES), ledger)
  let running = true
  const uploading = runClients({
    name: `${round}`,
    ledger,
    random,
    client: (user) => repository.client(server, user),
    goesOn: () => running,
  })
  const enough = ledger.answered.size + random.below(15)
  // The first thumbnail takes longer than many uploads: some rounds wait for it.
  const thumbnails = ledger.thumbnails + (round % 6 === 0 ? 1 : 0)
  while (ledger.answered.size < enough || ledger.thumbnails < thumbnails) await pause(1)
  await pause(random.below(40))
  await server.stop('SIGKILL')
  running = false
  await uploading
}

/** Kills it while it starts: opening its database, bringing tables up to date, sweeping what is staged. */
async function killAtStart({ start, random }: CrashedRepository): Promise<void> {
  const server = await start(100 + random.below(900)).catch(() => undefined)
  await server?.ended
}

interface Records extends Repository, Disposable {
  /** What SQLite says of its file. */
  readonly expectIntact: () => Promise<void>
}

function openRecords(folder: string): Records {
  const database = new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'))
  const query = async (statement: string) => database.prepare(statement).all()
  return {
    mediaFolder: join(folder, 'data', 'media'),
    query,
    expectIntact: async () => {
      expect(await query('PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }])
      expect(await query('PRAGMA foreign_key_check')).toEqual([])
    },
    [Symbol.dispose]: () => database.close(),
  }
}
