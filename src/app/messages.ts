import type { MainConfig } from '../config/schema.ts'
import { LocalNotifier, type Notifier } from '../coordination/notifier.ts'
import { Redis } from '../coordination/redis/redis.ts'
import { SharedNotifier } from '../coordination/shared-notifier.ts'
import type { Database } from '../db/connect.ts'
import { repositoryId } from '../db/repository.ts'
import { steadyClock } from '../lib/clock.ts'
import type { EventParts } from '../lib/events.ts'
import type { Log } from '../lib/log.ts'
import { randomName } from './names.ts'

/** How instances tell each other things; what is opened for it goes to `parts`. */
export async function openMessages(
  parts: AsyncDisposableStack,
  main: MainConfig,
  db: Pick<Database, 'write'>,
  events: EventParts,
): Promise<{ readonly redis: Redis; readonly notifier: Notifier }> {
  const repository = await db.write(repositoryId, { candidate: randomName(12) })
  const redis = parts.use(new Redis(main.redis, { ...events, repository }))
  await redis.configure(main.redis)
  const notifier = parts.use(await openNotifier(main, events.log))
  await useRedis(notifier, redis)
  return { redis, notifier }
}

async function openNotifier(main: MainConfig, log: Log): Promise<Notifier> {
  if (!main.database.postgres) return new LocalNotifier({ log })
  const { PostgresTransport, parseDsn } = await postgresClient()
  const database = new PostgresTransport(parseDsn(main.database.postgres), { log })
  const notifier = new SharedNotifier(database, { instance: randomName(12), clock: steadyClock(), log })
  await notifier.start()
  return notifier
}

/** Loaded by those who use PostgreSQL: idle servers on SQLite are to stay small. */
async function postgresClient() {
  return { ...(await import('../coordination/postgres-transport.ts')), ...(await import('../db/dsn.ts')) }
}

/** Messages go over Redis too. On SQLite there are no other instances to tell. */
export async function useRedis(notifier: Notifier, redis: Redis): Promise<void> {
  if (notifier instanceof SharedNotifier) await notifier.useAlso(redis.transports)
}
