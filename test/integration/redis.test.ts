import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { Redis } from '../../src/coordination/redis/redis.ts'
import type { RedisConfig } from '../../src/coordination/redis/targets.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { startApp } from '../support/app.ts'
import { redisConfig } from '../support/config.ts'
import { recordingLog } from '../support/log.ts'
import { type LyingRedis, startLyingRedis } from '../support/lying-redis.ts'
import { runProgram } from '../support/processes.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { makeCertificate } from '../support/certificate.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freePort } from '../support/services.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const content = (size = 1000) => {
  const bytes = randomBytes(size)
  return { bytes, hash: sha256(bytes), key: `cellarium:object:${sha256(bytes)}` }
}

describeWith('redis-server', 'Small objects in Redis', () => {
  let server: RedisServer
  beforeAll(async () => void (server = await startRedis()))
  beforeEach(async () => void (await server.ask('FLUSHALL')))
  afterAll(() => server[Symbol.asyncDispose]())

  test('that one instance puts there are found by others, for as long as configured', async () => {
    await using one = await open([server], { objectSeconds: 100 })
    await using other = await open([server])
    const { bytes, hash, key } = content(300_000)
    await put(one, bytes)
    expect(await other.redis.objects.get(hash)).toEqual(bytes)
    const left = Number(/:(\d+)/.exec(await server.ask('PTTL', key))?.[1])
    expect(left).toBeGreaterThan(50_000)
    expect(left).toBeLessThanOrEqual(100_000)
  })

  test('are deleted there when they are dropped', async () => {
    await using one = await open([server])
    const { bytes, hash } = content()
    await put(one, bytes)
    one.redis.objects.drop('all')
    one.redis.objects.drop([hash])
    await vi.waitFor(async () => expect(await server.ask('DBSIZE')).toContain(':0\r\n'), 10_000)
  })

  test('are not kept when they are too large', async () => {
    await using one = await open([server], { maxObjectBytes: 999 })
    const { bytes, hash } = content(1000)
    expect(one.redis.objects.takes(1000)).toBe(false)
    await one.redis.objects.put(hash, bytes)
    expect(await server.ask('DBSIZE')).toContain(':0\r\n')
  })

  test('that are not what was put there are dropped, counted and never used', async () => {
    await using one = await open([server])
    const { bytes, hash, key } = content()
    await put(one, bytes)
    await server.ask('SETRANGE', key, '500', 'x')
    expect(await one.redis.objects.get(hash)).toBeUndefined()
    expect(one.wrong()).toBe(1)
    expect(await server.ask('EXISTS', key)).toContain(':0\r\n')
    // The wrong type is a refusal by Redis: the connection stays.
    await server.ask('LPUSH', key, 'x')
    expect(await one.redis.objects.get(hash)).toBeUndefined()
    expect(one.failures()).toBe(0)
  })
})

describeWith('redis-server', 'A Redis server that fails', () => {
  test('costs a warning and a count when it dies, and is used again when it is back', async () => {
    await using server = await startRedis()
    await using one = await open([server])
    const { bytes, hash } = content()
    await put(one, bytes)
    await server.kill()
    await vi.waitFor(() => expect(one.isUp()).toBe(false), 10_000)
    const began = performance.now()
    for (let round = 0; round < 100; round++) expect(await one.redis.objects.get(hash)).toBeUndefined()
    expect(performance.now() - began, 'nobody waits for what is not there').toBeLessThan(2000)
    await pause(1500)
    expect(one.warnings(), 'once, however often it is tried again').toBe(1)
    expect(one.failures()).toBe(1)
    await server.restart()
    await vi.waitFor(() => expect(one.isUp()).toBe(true), { timeout: 15_000 })
    await put(one, bytes)
    expect(await one.redis.objects.get(hash)).toEqual(bytes)
  })

  test('and comes back with another password costs one warning more, which names it', async () => {
    const port = await freePort()
    await using first = await startRedis({ port })
    await using one = await open([first])
    await first.kill()
    await vi.waitFor(() => expect(one.isUp()).toBe(false), 10_000)
    expect(one.warnings()).toBe(1)
    await using _ = await startRedis({ port, password: 'new', options: ['--requirepass', 'new'] })
    await vi.waitFor(() => expect(JSON.stringify(one.lines)).toContain('NOAUTH'), { timeout: 15_000 })
    await using other = await open([first], { password: 'wrong' })
    expect(JSON.stringify(other.lines)).toContain('WRONGPASS')
    // Tried again by then, with the same outcome.
    await pause(1500)
    expect([one.warnings(), other.warnings()]).toEqual([2, 1])
    expect([one.failures(), other.failures()], 'a loss counts once').toEqual([1, 1])
  })

  test('costs who asked it just then a moment when it hangs, and nobody after', async () => {
    await using server = await startRedis()
    await using one = await open([server], {}, 250)
    const { bytes, hash } = content()
    await put(one, bytes)
    server.signal('SIGSTOP')
    const began = performance.now()
    expect(await one.redis.objects.get(hash)).toBeUndefined()
    expect(one.isUp()).toBe(false)
    for (let round = 0; round < 100; round++) {
      expect(await one.redis.objects.get(hash)).toBeUndefined()
      await one.redis.objects.put(hash, bytes)
    }
    expect(performance.now() - began).toBeLessThan(3000)
    server.signal('SIGCONT')
    await vi.waitFor(() => expect(one.isUp()).toBe(true), { timeout: 15_000 })
    await vi.waitFor(async () => expect(await one.redis.objects.get(hash)).toEqual(bytes), { timeout: 15_000 })
  })

  test('that was not there at the start is used once it is', async () => {
    const port = await freePort()
    await using one = await open([{ addr: `127.0.0.1:${port}` }])
    expect(one.warnings()).toBe(1)
    expect(await one.redis.objects.get(content().hash)).toBeUndefined()
    await using _ = await startRedis({ port })
    await vi.waitFor(() => expect(one.isUp()).toBe(true), { timeout: 15_000 })
    await put(one, content().bytes)
  })

  test('keeps a closing server no longer than one that answers', async () => {
    await using server = await startRedis()
    await using one = await open([server])
    server.signal('SIGSTOP')
    expect(await one.redis.objects.get(content().hash)).toBeUndefined()
    const began = performance.now()
    await one.redis[Symbol.asyncDispose]()
    expect(performance.now() - began).toBeLessThan(3000)
  })
})

describe('A Redis server that lies', () => {
  let liar: LyingRedis
  beforeAll(async () => void (liar = await startLyingRedis()))
  afterAll(() => liar[Symbol.asyncDispose]())
  const { bytes, hash } = content()

  test.each([
    ['other bytes', `$5\r\nwrong\r\n`, 'wrong'],
    ['a part of them', bulk(bytes.subarray(0, 999)), 'wrong'],
    ['a number', ':5\r\n', 'wrong'],
    ['a list', '*2\r\n$1\r\na\r\n$1\r\nb\r\n', 'wrong'],
    ['an error', '-ERR something\r\n', 'refused'],
    ['no protocol at all', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'lost'],
    ['a length without its bytes', '$1000000\r\nshort', 'lost'],
    ['nothing', '', 'lost'],
  ])('and gives %s is not believed', async (_, reply, outcome) => {
    liar.answer('GET', reply)
    await using one = await open([liar])
    expect(one.isUp()).toBe(true)
    expect(await one.redis.objects.get(hash)).toBeUndefined()
    expect(one.wrong()).toBe(outcome === 'wrong' ? 1 : 0)
    expect(one.failures()).toBe(outcome === 'lost' ? 1 : 0)
  })

  test('and tells the truth for once is believed', async () => {
    liar.answer('GET', bulk(bytes))
    await using one = await open([liar])
    expect(await one.redis.objects.get(hash)).toEqual(bytes)
  })
})

describeWith('redis-server', 'Several Redis servers', () => {
  test('share the keys, stand in for one that dies, and may change at run time', async () => {
    await using a = await startRedis()
    await using b = await startRedis()
    await using one = await open([a, b])
    const many = Array.from({ length: 40 }, () => content())
    for (const { bytes } of many) await put(one, bytes)
    expect(await count(a)).toBeGreaterThan(5)
    expect((await count(a)) + (await count(b))).toBe(40)
    await a.kill()
    await vi.waitFor(() => expect(one.isUp(a)).toBe(false), 10_000)
    for (const { bytes } of many) await put(one, bytes)
    expect(await count(b), 'the other one takes what belongs to it').toBe(40)
    await using c = await startRedis()
    await one.configure([b, c])
    for (const { bytes } of many) await put(one, bytes)
    expect(await count(c)).toBeGreaterThan(5)
    await one.configure([])
    expect(await one.redis.objects.get(many[0]?.hash ?? '')).toBeUndefined()
  })
})

describeWith(['redis-server', 'openssl'], 'Redis with a password and TLS', () => {
  test('is used with the password, its own database, and a certificate that is checked', async () => {
    await using folder = await temporaryFolder()
    await makeCertificate(folder.path)
    const [certificate, key] = [join(folder.path, 'certificate.pem'), join(folder.path, 'key.pem')]
    const tlsPort = await freePort()
    const tls = ['--tls-port', `${tlsPort}`, '--tls-cert-file', certificate, '--tls-key-file', key]
    await using server = await startRedis({
      password: 'hush',
      options: ['--requirepass', 'hush', '--tls-auth-clients', 'no', '--tls-ca-cert-file', certificate, ...tls],
    })
    const secure = { addr: `127.0.0.1:${tlsPort}` }
    const trusted = { enabled: true, caPath: certificate }
    await using one = await open([secure], { password: 'hush', databaseNumber: 3, tls: trusted })
    const { bytes, hash } = content()
    await put(one, bytes)
    expect(await one.redis.objects.get(hash)).toEqual(bytes)
    expect(await server.ask('INFO', 'keyspace')).toContain('db3:keys=1')
    await using untrusting = await open([secure], { password: 'hush', tls: { enabled: true, caPath: '' } })
    expect(untrusting.isUp()).toBe(false)
    await using stranger = await open([secure], { password: 'wrong', tls: trusted })
    expect(stranger.isUp()).toBe(false)
    expect(JSON.stringify(stranger.lines)).not.toContain('wrong')
  })
})

describeWith('redis-server', 'A server without a set-up of Redis', () => {
  test('does not load its library, and one with it does', async () => {
    await using server = await startRedis()
    const script = (enabled: boolean) => `
      import { createRequire } from 'node:module'
      const { Redis } = await import('${new URL('../../src/coordination/redis/redis.ts', import.meta.url).href}')
      const config = ${JSON.stringify(redisConfig([server]))}
      config.enabled = ${enabled}
      const count = { of: () => ({ add() {}, set() {} }) }
      const metrics = { redisUp: count, redisFailures: count }
      const redis = new Redis(config, { repository: 'test', log: console, metrics })
      await redis.configure(config)
      const loaded = Object.keys(createRequire('${import.meta.filename}').cache)
      console.log(loaded.some((file) => file.includes('@redis')) ? 'loaded' : 'not loaded')
      await redis[Symbol.asyncDispose]()`
    const run = (enabled: boolean) =>
      runProgram({ command: [process.execPath, '--input-type=module', '-e', script(enabled)] })
    expect(await run(false)).toBe('not loaded')
    expect(await run(true)).toBe('loaded')
  })

  test('uses it once a reload names one, and no longer once a reload takes it away', async () => {
    await using server = await startRedis()
    await using app = await startApp()
    const clients = async () => (await server.ask('CLIENT', 'LIST')).match(/name=cellarium/g)?.length ?? 0
    expect(await clients()).toBe(0)
    await app.reload({ redis: { enabled: true, shards: [{ name: 'a', addr: server.addr }] } })
    await vi.waitFor(async () => expect(await clients()).toBe(1), { timeout: 15_000 })
    await app.reload({ redis: { enabled: false, shards: [{ name: 'a', addr: server.addr }] } })
    await vi.waitFor(async () => expect(await clients()).toBe(0), { timeout: 15_000 })
  })
})

function bulk(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')])
}

async function count(server: RedisServer): Promise<number> {
  return Number(/:(\d+)/.exec(await server.ask('DBSIZE'))?.[1])
}

/** Puts, also when the machine is so busy that Redis takes its time. */
async function put({ redis }: { readonly redis: Redis }, bytes: Buffer): Promise<void> {
  const hash = sha256(bytes)
  await vi.waitFor(
    async () => {
      await redis.objects.put(hash, bytes)
      expect(await redis.objects.get(hash)).toEqual(bytes)
    },
    { timeout: 15_000 },
  )
}

type Addressed = Pick<RedisServer, 'addr'>

/** With more patience than a server in use has: a machine that is busy with other tests is no Redis that hangs. */
async function open(servers: readonly Addressed[], options: Partial<RedisConfig> = {}, timeoutMs = 1500) {
  const config = (shards: readonly Addressed[]) => redisConfig(shards, options)
  const metrics = openMetrics({ version: 'test' })
  const { log, lines } = recordingLog()
  const redis = new Redis(config(servers), { repository: 'test', log, metrics, timeoutMs })
  await redis.configure(config(servers))
  const series = (name: 'redisFailures' | 'redisUp', server: Addressed | undefined) =>
    metrics[name].of(server?.addr ?? '', 'cache')
  return {
    redis,
    lines,
    configure: (shards: readonly Addressed[]) => redis.configure(config(shards)),
    isUp: (server = servers[0]) => series('redisUp', server).state === 1,
    failures: (server = servers[0]) => series('redisFailures', server).value,
    wrong: () => metrics.redisWrong.of('object').value,
    warnings: () => lines.filter(({ level }) => level === 40).length,
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  }
}
