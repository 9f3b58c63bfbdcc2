/** Who of the other homeservers gets our media, and how much. */
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OwnKeys } from '../../src/matrix/keys/own-keys.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { heldClock } from '../support/app.ts'
import { ASKER, type AskedByServers, startAskedByServers } from '../support/asking-server.ts'
import { temporaryFolder } from '../support/folder.ts'
import { newKey } from '../support/key-servers.ts'
import { recordingLog } from '../support/log.ts'
import { describeWith } from '../support/services.ts'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../support/processes.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))

/** The key with which another Cellarium signs, once its administrator has made one. */
async function keyOfAnotherCellarium() {
  await using folder = await temporaryFolder()
  const signingKeyPath = join(folder.path, 'signing.key')
  await runProgram({ command: [process.execPath, CELLARIUM, 'keys', 'generate', '--output', signingKeyPath] })
  await using ownKeys = new OwnKeys({ events: { ...recordingLog(), metrics: openMetrics({ version: 'test' }) } })
  await ownKeys.configure([{ name: ASKER, signingKeyPath, adminApiKind: 'synapse' }])
  const key = ownKeys.keyOf(ASKER)
  if (!key) throw new Error('there is no key')
  return key
}

const unauthorized = (message: string) => ({
  status: 401,
  json: { errcode: 'M_UNAUTHORIZED', error: expect.stringContaining(message) },
})

describeWith('openssl', 'Among other homeservers', () => {
  const cleanup = new AsyncDisposableStack()
  const clock = heldClock()
  let servers: AskedByServers
  let id = ''
  const statusOf = async (path = `download/${id}`, asked = {}) => (await servers.ask(path, asked)).status

  beforeAll(async () => {
    servers = cleanup.use(await startAskedByServers({ key: await keyOfAnotherCellarium(), clock }))
    id = (await servers.app.upload(randomBytes(1000))).split('/')[1] ?? ''
  }, 60_000)
  afterAll(() => cleanup.disposeAsync())

  test('one that signs gets our media; its keys are sought once, where it is', async () => {
    const before = servers.seen().filter((line) => line.includes('/_matrix/key/')).length
    for (let turn = 0; turn < 3; turn++) expect(await statusOf()).toBe(200)
    const keys = servers.seen().filter((line) => line === `${ASKER} /_matrix/key/v2/server`)
    expect([before, keys.length]).toEqual([0, 1])
  })

  test('one that does not sign, or for another, or something else, gets none', async () => {
    const path = `/_matrix/federation/v1/media/download/${id}`
    expect(await servers.app.ask(path)).toMatchObject(unauthorized('no auth provided (required)'))
    expect(await servers.app.ask(path, { token: 'syt_alice_Wq7r' })).toMatchObject(unauthorized('no auth provided'))
    expect(await servers.ask(`download/${id}`, { destination: 'other.example' })).toMatchObject(
      unauthorized('no auth provided for this destination'),
    )
    const authorization = servers.authorization(`download/${id}`)
    const elsewhere = await servers.app.ask(`${path}?timeout_ms=1`, { headers: { authorization } })
    expect(elsewhere).toMatchObject(unauthorized('was the address changed on the way?'))
    expect(await servers.ask(`download/${id}`, { key: newKey('made-up') })).toMatchObject(
      unauthorized('not among the keys'),
    )
    const forged = { ...newKey('x'), id: servers.key.id }
    expect(await servers.ask(`download/${id}`, { key: forged })).toMatchObject(unauthorized('the signature by'))
  })

  test('one whose keys are over, old, or nowhere gets none, and is told so', async () => {
    await servers.publish('expired.test', { validUntil: clock.now() - 1000 })
    await servers.publish('retired.test', { keys: [newKey('new')], old: [servers.key] })
    expect(await servers.ask(`download/${id}`, { origin: 'expired.test' })).toMatchObject(
      unauthorized('the signing keys of expired.test cannot be fetched'),
    )
    expect(await servers.ask(`download/${id}`, { origin: 'retired.test' })).toMatchObject(unauthorized('old keys only'))
    expect(await servers.ask(`download/${id}`, { origin: 'nowhere.test' })).toMatchObject(
      unauthorized('the signing keys of nowhere.test cannot be fetched: its server does not answer'),
    )
  })

  test('one that is ignored, or not on the list, gets none, and is asked for nothing', async () => {
    await servers.publish('ignored.test')
    const refused = { status: 403, json: { errcode: 'M_FORBIDDEN' } }
    await servers.app.reload({ federation: { ignoredHosts: ['ignored.test'] } })
    expect(await servers.ask(`download/${id}`, { origin: 'ignored.test' })).toMatchObject(refused)
    expect(await statusOf()).toBe(200)
    await servers.app.reload({ federation: { onlyHosts: [ASKER] } })
    expect(await servers.ask(`thumbnail/${id}`, { origin: 'ignored.test' })).toMatchObject(refused)
    expect(await statusOf()).toBe(200)
    expect(servers.seen().filter((line) => line.includes('ignored.test'))).toEqual([])
    await servers.app.reload({})
    expect(await statusOf(undefined, { origin: 'ignored.test' })).toBe(200)
  })

  test('one that asks too often waits, whatever its spelling, and no other with it', async () => {
    await servers.publish('other.test')
    await servers.app.reload({ rateLimit: { perServer: { requestsPerSecond: 0.001, burst: 3 } } })
    clock.wait(3_600_000 * 24)
    await servers.publish(ASKER, { validUntil: clock.now() + 3_600_000 })
    await servers.publish('other.test', { validUntil: clock.now() + 3_600_000 })
    expect([await statusOf(), await statusOf('download/unknown'), await statusOf()]).toEqual([200, 404, 200])
    const limited = await servers.ask(`download/${id}`)
    expect(limited).toMatchObject({
      status: 429,
      headers: { 'access-control-allow-origin': '*', 'retry-after': expect.stringMatching(/^(9\d\d|1000)$/) },
      json: { errcode: 'M_LIMIT_EXCEEDED', error: 'This server asks too often', retry_after_ms: expect.any(Number) },
    })
    expect(await statusOf(undefined, { origin: 'other.test' })).toBe(200)
    clock.wait(Number(limited.headers['retry-after']) * 1000)
    expect([await statusOf(), await statusOf()]).toEqual([200, 429])
    await servers.app.reload({ rateLimit: { enabled: false, perServer: { requestsPerSecond: 0.001, burst: 1 } } })
    expect([await statusOf(), await statusOf()]).toEqual([200, 200])
  })

  test('one that asks for too much waits; what costs no bytes is answered all the same', async () => {
    // Nothing was charged to it yet.
    const large = { origin: 'large.test' }
    await servers.publish('large.test', { validUntil: clock.now() + 3_600_000 })
    const perServer = { capacityBytes: 1500, drainBytesPerMinute: 60 }
    await servers.app.reload({ rateLimit: { perServer } })
    const { status, headers } = await servers.ask(`download/${id}`, large)
    expect([status, await statusOf(undefined, large)]).toEqual([200, 200])
    const limited = await servers.ask(`download/${id}`, large)
    // 2000 bytes are in, 1499 may be: one byte a second.
    expect(limited).toMatchObject({
      status: 429,
      headers: { 'retry-after': expect.stringMatching(/^50[01]$/), 'content-type': 'application/json' },
      json: { errcode: 'M_LIMIT_EXCEEDED', error: 'This server asks for too much' },
    })
    expect(await statusOf(undefined, { ...large, headers: { 'if-none-match': String(headers.etag) } })).toBe(304)
    expect(await statusOf('download/unknown', large)).toBe(404)
    await servers.app.reload({ rateLimit: { perServer: { ...perServer, drainBytesPerMinute: 6_000_000_000 } } })
    await pause(10)
    expect(await statusOf(undefined, large)).toBe(200)
    await servers.app.reload({ rateLimit: { perServer: { capacityBytes: 0 } } })
    expect([
      await statusOf(undefined, large),
      await statusOf(undefined, large),
      await statusOf(undefined, large),
    ]).toEqual([200, 200, 200])
  })
})
