import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { type MediaClient, mediaClient } from '../support/media-client.ts'
import { startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const DAY = 86_400
const BYTES = 10_000

describeWith('postgres', 'Quotas of two servers on one database', () => {
  let pair: Pair
  beforeAll(async () => void (pair = await startPair()))
  afterAll(() => pair[Symbol.asyncDispose]())

  test.each([
    ['bytes', 5],
    ['files', 4],
    ['window', 3],
  ])('of %s let in as much as they say, however many uploads come to both at once', async (rule, fit) => {
    const { clients } = pair.user(rule)
    const before = await pair.stored()
    const sent = await Promise.all(
      Array.from({ length: 40 }, (_, index) => pair.pick(clients, index).upload(randomBytes(BYTES))),
    )
    const counts = Map.groupBy(sent, ({ status }) => status)
    expect([counts.get(200)?.length, counts.get(403)?.length]).toEqual([fit, 40 - fit])
    const after = before.map((count) => count + fit)
    await vi.waitFor(async () => expect(await pair.stored()).toEqual(after), 10_000)
    expect(await pair.staged()).toEqual([])
  })

  test('hold for reserved ids that are filled at both at once', async () => {
    const { clients } = pair.user('bytes')
    const ids = await Promise.all(Array.from({ length: 12 }, (_, index) => pair.pick(clients, index).create()))
    const statuses = await Promise.all(
      ids.map((id, index) => pair.pick(clients, index + 1).fill(id, randomBytes(BYTES))),
    )
    expect(statuses.filter((status) => status === 200)).toHaveLength(5)
    expect(statuses.filter((status) => status === 403)).toHaveLength(7)
  })

  test('on reserved ids hold when they are asked for at both at once', async () => {
    const { clients } = pair.user('pending')
    const created = await Promise.all(Array.from({ length: 20 }, (_, index) => pair.pick(clients, index).create()))
    const rows = await pair.query(
      `SELECT count(*)::int AS count FROM cellarium.pending_media WHERE uploader LIKE '@pending%'`,
    )
    expect(rows).toEqual([{ count: 6 }])
    expect(created.filter((id) => id !== '')).toHaveLength(6)
  })

  test('of a homeserver hold for all its users at both at once', async () => {
    const users = Array.from({ length: 4 }, () => pair.user('full', 'full.org').clients)
    const sent = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        pair.pick(pair.pick(users, index), Math.floor(index / 4)).upload(randomBytes(BYTES)),
      ),
    )
    expect(sent.filter(({ status }) => status === 200)).toHaveLength(20)
    expect(sent.filter(({ status }) => status === 403)).toHaveLength(20)
  })
})

interface Pair extends AsyncDisposable {
  /** Somebody new for whom this rule is, with a client at each server. */
  readonly user: (rule: string, host?: string) => { readonly clients: readonly MediaClient[] }
  readonly pick: <T>(list: readonly T[], index: number) => T
  readonly query: (statement: string) => Promise<unknown[]>
  /** How many files, objects and names there are. */
  readonly stored: () => Promise<number[]>
  /** What lies in `.staging`. */
  readonly staged: () => Promise<string[]>
}

async function startPair(): Promise<Pair> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const { url } = cleanup.use(await freshDatabase())
  const homeservers = await Promise.all(
    ['example.org', 'full.org'].map((serverName) => startHomeserver({ serverName })),
  )
  for (const homeserver of homeservers) cleanup.use(homeserver)
  const mediaFolder = join(folder, 'media')
  const rules = [
    { glob: '@bytes*:*', maxBytes: 5 * BYTES + 1 },
    { glob: '@files*:*', maxBytes: -1, maxFiles: 4 },
    { glob: '@window*:*', maxBytes: -1, windows: [{ seconds: DAY, maxBytes: 3 * BYTES }] },
    { glob: '@pending*:*', maxBytes: -1, maxPending: 6 },
    { glob: '*', maxBytes: -1, maxPending: 0 },
  ]
  // More than what the other tests leave at their homeserver.
  const total = { maxBytes: 20.5 * BYTES }
  const config = {
    homeservers: homeservers.map(({ serverName, url: csApi }) => ({ name: serverName, csApi })),
    database: { postgres: url },
    datastores: [{ type: 'file', id: 'shared', forKinds: ['all'], opts: { path: mediaFolder } }],
    uploads: { minBytes: 0, maxPending: 0, quotas: { enabled: true, users: rules, total } },
  }
  const servers = await Promise.all(['a', 'b'].map((name) => startServer({ folder: join(folder, name), config })))
  for (const server of servers) cleanup.use(server)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  cleanup.defer(() => client.end())
  const query = async (statement: string): Promise<{ readonly count?: number }[]> =>
    (await client.query(statement)).rows
  const files = async () => {
    const entries = await readdir(mediaFolder, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  }
  const count = async (table: string) =>
    (await query(`SELECT count(*)::int AS count FROM cellarium.${table}`))[0]?.count ?? 0
  let users = 0
  const owned = cleanup.move()
  return {
    user: (rule, host = 'example.org') => {
      const name = `${rule}${users++}`
      const homeserver = homeservers.find(({ serverName }) => serverName === host)
      homeserver?.addUser({ token: `token-of-${name}`, userId: `@${name}:${host}` })
      return { clients: servers.map((server) => mediaClient(server, `token-of-${name}`, host)) }
    },
    pick: (list, index) => {
      const found = list[index % list.length]
      if (found === undefined) throw new Error('an empty list')
      return found
    },
    query,
    stored: async () => [
      (await files()).filter((file) => !file.includes('.staging')).length,
      await count('objects'),
      await count('media'),
    ],
    staged: async () => (await files()).filter((file) => file.includes('.staging')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
