import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { startHomeserver } from '../support/homeserver.ts'
import { mediaClient } from '../support/media-client.ts'
import { startPooler } from '../support/pooler.ts'
import { startRedis } from '../support/redis.ts'
import { startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const PATIENT = { timeout: 15_000 }

describeWith(['postgres', 'redis-server'], 'Two servers behind a pooler, with Redis', () => {
  let pair: Awaited<ReturnType<typeof startPair>>
  beforeAll(async () => void (pair = await startPair()))
  afterAll(() => pair[Symbol.asyncDispose]())

  test('wake who waits at one for what is uploaded at the other', async () => {
    const { first, second } = pair.newUser()
    // Looking by itself once a second, a waiter would take most of one each time: five in a row show the difference.
    let took = 0
    for (let round = 0; round < 5; round++) {
      const media = await first.create()
      const waiting = first.download(media)
      await pause(300)
      const body = randomBytes(1000)
      expect(await second.fill(media, body)).toBe(200)
      const began = performance.now()
      expect(await waiting).toEqual({ status: 200, body })
      took += performance.now() - began
    }
    expect(took).toBeLessThan(2500)
  })

  test('refuse a token at both once it was logged out at one', async () => {
    const { first, second } = pair.newUser()
    expect(await second.upload(randomBytes(1000))).toMatchObject({ status: 200 })
    expect(await first.logout()).toBe(200)
    await vi.waitFor(async () => expect((await second.upload(randomBytes(1000))).status).toBe(401), PATIENT)
  })

  test('answer every request while Redis hangs, is dead, and comes back', async () => {
    const { first, second } = pair.newUser()
    const body = randomBytes(1000)
    const { media } = await first.upload(body)
    const everything = async () => {
      const { status, media: own } = await first.upload(randomBytes(1000))
      expect(status).toBe(200)
      expect(await second.download(own)).toMatchObject({ status: 200 })
      for (const client of [first, second]) expect(await client.download(media)).toEqual({ status: 200, body })
    }
    await everything()
    pair.redis.signal('SIGSTOP')
    for (let round = 0; round < 10; round++) await everything()
    pair.redis.signal('SIGCONT')
    await pair.redis.kill()
    for (let round = 0; round < 10; round++) await everything()
    const waited = await first.create()
    const waiting = first.download(waited)
    await pause(300)
    expect(await second.fill(waited, body)).toBe(200)
    expect(await waiting, 'who waits looks for himself').toEqual({ status: 200, body })
    await pair.redis.restart()
    await vi.waitFor(async () => expect(await pair.redis.ask('CLIENT', 'LIST')).toMatch(/sub=1[^]*sub=1/), PATIENT)
    await everything()
    for (const lines of pair.logs()) {
      await expect.poll(() => lines.join('\n'), { timeout: 30_000 }).toContain('the Redis server cannot be used')
      expect(lines.filter((line) => line.includes('internal error'))).toEqual([])
    }
  })
})

async function startPair() {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const url = new URL(cleanup.use(await freshDatabase()).url)
  url.port = `${cleanup.use(await startPooler(Number(url.port))).port}`
  const redis = cleanup.use(await startRedis())
  const homeserver = cleanup.use(await startHomeserver())
  const config = {
    homeservers: [{ name: homeserver.serverName, csApi: homeserver.url }],
    database: { postgres: url.href },
    redis: { enabled: true, shards: [{ name: 'only', addr: redis.addr }] },
    datastores: [{ type: 'file', id: 'shared', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    uploads: { minBytes: 0 },
  }
  const started = await Promise.all(['a', 'b'].map((name) => startServer({ folder: join(folder, name), config })))
  const [one, other] = started.map((server) => cleanup.use(server))
  if (!one || !other) throw new Error('two servers were started')
  let users = 0
  const owned = cleanup.move()
  return {
    redis,
    logs: () => [one.lines, other.lines],
    newUser: () => {
      const name = `user${users++}`
      homeserver.addUser({ token: `token-of-${name}`, userId: `@${name}:example.org` })
      return { first: mediaClient(one, `token-of-${name}`), second: mediaClient(other, `token-of-${name}`) }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
