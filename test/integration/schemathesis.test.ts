/** The administration does what its document says: requests that nobody has thought of, to real servers. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApi } from '../../src/http/openapi.ts'
import { routes } from '../../src/http/routes.ts'
import { send } from '../support/app.ts'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import { trySchema } from '../support/schemathesis.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const ADMIN = { token: 'syt_admin_Fq4w', userId: '@admin:example.org', admin: true }
const ALICE = { token: 'syt_alice_Rn6d', userId: '@alice:example.org' }

/** Other names of the same routes; and what asks servers that do not exist, which takes as long as the machine's DNS likes. */
const LEFT_OUT = String.raw`io\.t2bot\.media|/client/(r0|v3|unstable)/|/federation/test/`

let homeserver: HomeserverDouble
beforeAll(async () => {
  homeserver = await startHomeserver()
  for (const user of [ADMIN, ALICE]) homeserver.addUser(user)
  homeserver.addRoom('!room:example.org', { local: ['mxc://example.org/abc'], remote: ['mxc://elsewhere.example/abc'] })
})
afterAll(() => homeserver[Symbol.asyncDispose]())

async function start(database: Readonly<Record<string, unknown>>): Promise<Server> {
  const config = {
    ...database,
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url, adminApiKind: 'synapse' }],
    admins: [ADMIN.userId],
    uploads: { minBytes: 0 },
    federation: { onlyHosts: [homeserver.serverName] },
  }
  return await startServer({ config })
}

/** Something to list, count and delete. */
async function fill({ port }: Server): Promise<void> {
  for (const { token } of [ALICE, ADMIN, ALICE, ADMIN]) {
    const answer = await send(port, '/_matrix/media/v3/upload', { method: 'POST', token, body: randomBytes(50) })
    expect(answer.status).toBe(200)
  }
}

function operationsWanted(): number {
  const { paths } = openApi(routes) as { readonly paths: Readonly<Record<string, object>> }
  const left = Object.entries(paths).filter(([path]) => !new RegExp(LEFT_OUT).test(path))
  return left.reduce((sum, [, operations]) => sum + Object.keys(operations).length, 0)
}

async function tried(server: Server, seed: number) {
  await fill(server)
  return await trySchema({
    url: server.url,
    document: openApi(routes),
    headers: { Authorization: `Bearer ${ADMIN.token}`, Host: homeserver.serverName },
    leaveOut: LEFT_OUT,
    examples: 4,
    seed,
  })
}

async function expectNothingWrong(server: Server, seed: number): Promise<void> {
  const { code, report, operations, requests } = await tried(server, seed)
  expect(code, report).toBe(0)
  expect(operations).toBe(operationsWanted())
  expect(requests).toBeGreaterThan(1000)
  expect(server.lines.filter((line) => /level=(error|fatal)/.test(line))).toEqual([])
}

describeWith('schemathesis', 'Whatever administrators ask for', () => {
  test('is answered as the document of the API says', { timeout: 600_000 }, async () => {
    await using server = await start({})
    await expectNothingWrong(server, 1)
  })
})

describeWith(['schemathesis', 'postgres'], 'Whatever administrators ask for, with PostgreSQL,', () => {
  test('is answered as the document of the API says', { timeout: 600_000 }, async () => {
    await using database = await freshDatabase()
    await using server = await start({ database: { postgres: database.url } })
    await expectNothingWrong(server, 2)
  })
})
