import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { PostgresTransport } from '../../src/coordination/postgres-transport.ts'
import { Redis } from '../../src/coordination/redis/redis.ts'
import { SharedNotifier } from '../../src/coordination/shared-notifier.ts'
import { parseDsn } from '../../src/db/dsn.ts'
import { steadyClock } from '../../src/lib/clock.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { redisConfig } from '../support/config.ts'
import { recordingLog } from '../support/log.ts'
import { startPooler } from '../support/pooler.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const PATIENT = { timeout: 15_000 }

describeWith(['postgres', 'redis-server'], 'Messages between instances', () => {
  let [one, two]: RedisServer[] = []
  beforeAll(async () => void ([one, two] = [await startRedis(), await startRedis()]))
  afterAll(async () => {
    await one?.[Symbol.asyncDispose]()
    await two?.[Symbol.asyncDispose]()
  })
  const ways: readonly (readonly [string, () => Ways])[] = [
    ['over PostgreSQL alone', () => ({ listen: true, redis: [] })],
    ['over Redis alone, behind a pooler', () => ({ listen: false, redis: present(one) })],
    ['over PostgreSQL and Redis', () => ({ listen: true, redis: present(one) })],
    ['over PostgreSQL and two servers of Redis', () => ({ listen: true, redis: present(one, two) })],
  ]

  test.each(ways)('arrive once %s, and announcements wait until they were handled', async (_, given) => {
    await using group = await startGroup(given())
    const heard = group.all.map(({ notifier }) => listen(notifier))
    group.all[0]?.notifier.notify('uploaded', 'a')
    await group.all[1]?.notifier.announce('changed', 'b')
    for (const messages of heard) expect(messages).toContain('changed b')
    await vi.waitFor(() => {
      for (const messages of heard) expect(messages.toSorted()).toEqual(['changed b', 'uploaded a'])
    }, PATIENT)
  })

  test('of one repository are not heard by another on the same Redis', async () => {
    await using group = await startGroup({ listen: false, redis: present(one) })
    await using other = await startGroup({ listen: false, redis: present(one), repository: 'another' })
    const [own, others] = [group, other].map(({ all }) => all.map(({ notifier }) => listen(notifier)))
    await group.all[0]?.notifier.announce('changed', 'ours')
    await other.all[0]?.notifier.announce('changed', 'theirs')
    for (const messages of own ?? []) expect(messages).toEqual(['changed ours'])
    for (const messages of others ?? []) expect(messages).toEqual(['changed theirs'])
  })

  test('behind a pooler without Redis are known not to arrive: nothing kept counts, and announcements say when', async () => {
    await using group = await startGroup({ listen: false, redis: [], deaf: true })
    const [notifier] = group.all.map((instance) => instance.notifier)
    const began = performance.now()
    await notifier?.announce('changed', 'to whom it may concern')
    expect(performance.now() - began).toBeGreaterThan(2900)
    expect(notifier?.isAttentive()).toBe(false)
  })
})

describeWith(['postgres', 'redis-server'], 'Messages between instances on PostgreSQL and Redis', () => {
  test('go on when Redis hangs and when it dies, and over Redis again when it is back', async () => {
    await using redis = await startRedis()
    await using group = await startGroup({ listen: true, redis: [redis] })
    const [first, second] = group.all.map(({ notifier }) => notifier)
    const heard = second ? listen(second) : []
    redis.signal('SIGSTOP')
    await first?.announce('changed', 'while it hangs')
    expect(heard).toEqual(['changed while it hangs'])
    redis.signal('SIGCONT')
    await redis.kill()
    await first?.announce('changed', 'while it is dead')
    expect(heard).toEqual(['changed while it hangs', 'changed while it is dead'])
    expect(second?.isAttentive()).toBe(true)
    await redis.restart()
    await vi.waitFor(async () => expect(await redis.ask('PUBSUB', 'NUMSUB', CHANNEL)).toContain(':2\r\n'), PATIENT)
    await first?.announce('changed', 'as before')
    expect(heard.filter((message) => message === 'changed as before')).toHaveLength(1)
  })

  test('are not trusted to arrive behind a pooler while Redis is away, and everything is dropped when it is back', async () => {
    await using redis = await startRedis()
    await using group = await startGroup({ listen: false, redis: [redis] })
    const [first] = group.all.map(({ notifier }) => notifier)
    const missed = vi.fn<() => void>()
    first?.on('missed', missed)
    await redis.kill()
    await vi.waitFor(() => expect(first?.isAttentive()).toBe(false), PATIENT)
    await redis.restart()
    await vi.waitFor(() => expect(first?.isAttentive()).toBe(true), PATIENT)
    expect(missed).toHaveBeenCalled()
  })

  test('go over a server that a reload brings, and no longer over one that it takes away', async () => {
    await using old = await startRedis()
    await using fresh = await startRedis()
    await using group = await startGroup({ listen: false, redis: [old] })
    for (const instance of group.all) await instance.use([old, fresh])
    await old.kill()
    await vi.waitFor(() => expect(group.all.every(({ notifier }) => notifier.isAttentive())).toBe(true), PATIENT)
    const heard = group.all.map(({ notifier }) => listen(notifier))
    await group.all[0]?.notifier.announce('changed', 'over the new one')
    expect(heard).toEqual([['changed over the new one'], ['changed over the new one']])
    for (const instance of group.all) await instance.use([])
    await vi.waitFor(async () => expect(await fresh.ask('PUBSUB', 'NUMSUB', CHANNEL)).toContain(':0\r\n'), PATIENT)
  })
})

const CHANNEL = 'cellarium:one'

interface Ways {
  /** Whether what PostgreSQL's LISTEN would bring arrives. */
  readonly listen: boolean
  readonly redis: readonly RedisServer[]
  readonly repository?: string
  /** Nothing is expected to arrive. */
  readonly deaf?: boolean
}

function present(...servers: readonly (RedisServer | undefined)[]): readonly RedisServer[] {
  return servers.filter((server) => server !== undefined)
}

function listen(notifier: SharedNotifier): string[] {
  const heard: string[] = []
  for (const topic of ['uploaded', 'changed'] as const) {
    notifier.on(topic, (message) => heard.push(`${topic} ${message}`))
  }
  return heard
}

/** Two instances on a database of their own, which know each other. */
async function startGroup({ listen, redis: redisServers, repository = 'one', deaf = false }: Ways) {
  await using cleanup = new AsyncDisposableStack()
  const config = parseDsn(cleanup.use(await freshDatabase()).url)
  const port = listen ? config.port : cleanup.use(await startPooler(config.port ?? 5432)).port
  const { log } = recordingLog()
  const all = await Promise.all(
    ['a', 'b'].map(async (instance) => {
      const redis = cleanup.use(
        new Redis(redisConfig([]), { repository, log, metrics: openMetrics({ version: 'test' }) }),
      )
      const database = new PostgresTransport({ ...config, host: '127.0.0.1', ...(port ? { port } : {}) }, { log })
      const notifier = cleanup.use(new SharedNotifier(database, { instance, clock: steadyClock(), log }))
      await notifier.start()
      const use = async (servers: readonly RedisServer[]) => {
        await redis.configure(redisConfig(servers))
        await notifier.useAlso(redis.transports)
      }
      await use(redisServers)
      return { notifier, use }
    }),
  )
  if (!deaf) await vi.waitFor(() => expect(all.every(({ notifier }) => notifier.isAttentive())).toBe(true), PATIENT)
  const owned = cleanup.move()
  return { all, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
