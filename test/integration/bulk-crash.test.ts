import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { expectWhole } from '../support/crash/checks.ts'
import { expectSwept } from '../support/crash/sweep.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'

const ALICE = { token: 'token-of-alice', userId: '@alice:example.org' }
const ROUNDS = 4
const UPLOADS = 400
const AT_ONCE = 16

test('A purge of a user whose server is killed leaves nothing by halves, and can be asked for again', async () => {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const homeserver = cleanup.use(await startHomeserver())
  homeserver.addUser(ALICE)
  const { serverName: name, url: csApi } = homeserver
  const config = { homeservers: [{ name, csApi }], rateLimit: { enabled: false }, uploads: { minBytes: 0 } }
  const start = () => startServer({ folder, config })
  const records = await openRecords(folder, start)
  cleanup.use(records)
  const brokenOff: number[] = []

  for (let round = 0; round < ROUNDS; round++) {
    await using server = await start()
    await uploadMany(server)
    const before = records.names()
    const purging = purge(server).catch(() => undefined)
    while (records.names() === before) await pause(1)
    await server.stop('SIGKILL')
    await purging
    brokenOff.push(records.names())
    await expectWhole(records)
  }
  expect(
    brokenOff.some((names) => names > 0 && names < UPLOADS),
    `names that were left: ${brokenOff.join()}`,
  ).toBe(true)

  await using server = await start()
  await uploadMany(server, 1)
  const [kept] = await records.query('SELECT media_id FROM media ORDER BY created_at DESC LIMIT 1')
  await records.query(`UPDATE media SET protected_at = 1 WHERE media_id = '${String(kept?.['media_id'])}'`)
  expect(await (await purge(server)).json()).toMatchObject({ purged: true, kept: 1 })
  expect(records.names()).toBe(1)
  await server.stop()
  const orphans = await expectWhole(records)
  await expectSwept(records, server.configFile, orphans)
}, 300_000)

function purge(server: Server): Promise<Response> {
  const headers = { authorization: `Bearer ${ALICE.token}`, 'x-forwarded-host': 'example.org' }
  return fetch(`${server.url}/_matrix/media/unstable/admin/purge/user/${ALICE.userId}`, { method: 'POST', headers })
}

async function uploadMany(server: Server, uploads = UPLOADS): Promise<void> {
  const client = mediaClient(server, ALICE.token)
  let left = uploads
  const uploadOn = async () => {
    while (left-- > 0) expect((await client.upload(randomBytes(500))).status).toBe(200)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, uploadOn))
}

/** The tables and the folder of a repository, once a server has made them. */
async function openRecords(folder: string, start: () => Promise<Server>) {
  const server = await start()
  await server.stop()
  const database = new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'), { timeout: 10_000 })
  return {
    mediaFolder: join(folder, 'data', 'media'),
    query: async (statement: string) => database.prepare(statement).all(),
    names: () => Number(database.prepare('SELECT count(*) AS count FROM media').get()?.['count']),
    [Symbol.dispose]: () => database.close(),
  }
}
