import { Kysely, PostgresDialect } from '#kysely'
import pg from 'pg'
import type { Availability } from '../lib/availability.ts'
import type { Log } from '../lib/log.ts'
import type { DatabaseOptions, OpenedDatabase } from './connect.ts'
import { parseDsn } from './dsn.ts'
import { migrate, POSTGRES_SCHEMA } from './migrate.ts'
import { type PoolUse, type PostgresWaits, WAITS, watchedPool } from './postgres-pool.ts'
import type { Queryable, Unit } from './query.ts'
import type { Schema } from './schema.ts'

export type { PostgresWaits } from './postgres-pool.ts'

interface Parts {
  readonly log: Log
  readonly availability: Availability
  readonly waits: Partial<PostgresWaits> | undefined
}

/** Opens a PostgreSQL database: one pool of connections, with reads and write units on it each in their own way. */
export async function openPostgres(
  options: DatabaseOptions,
  { log, availability, waits }: Parts,
): Promise<OpenedDatabase> {
  const limits = { ...WAITS, ...waits }
  await using closing = new AsyncDisposableStack()
  const pool = openPool(options, limits, log)
  closing.defer(() => pool.end())
  await migrate(new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }), 'postgres')
  const forUse = (use: PoolUse) => {
    const dialect = new PostgresDialect({ pool: watchedPool(use, { pool, availability, waits: limits }) })
    return new Kysely<Schema>({ dialect }).withSchema(POSTGRES_SCHEMA)
  }
  const [read, units] = [forUse('reads'), forUse('units')]
  const open = closing.move()
  return {
    engine: 'postgres',
    read,
    write: async (unit, args) => {
      const result = await inTransaction(units, unit, args)
      availability.worked()
      return result
    },
    version: () => undefined,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

function openPool(options: DatabaseOptions, { connectMs }: PostgresWaits, log: Log): pg.Pool {
  const pool = new pg.Pool({
    ...parseDsn(options.postgres),
    application_name: 'cellarium',
    max: options.pool.maxConnections,
    // Never below what is configured as idle: closing and reopening connections costs MMR two thirds of its speed.
    min: Math.min(options.pool.maxIdleConnections, options.pool.maxConnections),
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    types: typeParsers(),
  })
  pool.on('error', (error) => log.warn({ err: error }, 'a PostgreSQL connection was lost'))
  // A connection lost while a transaction holds it says so in an event of its own too, which nobody hearing would end the
  // process. The transaction's next statement fails anyway.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

const INT8 = 20

/** bigint comes as text; ours are milliseconds and bytes, which a JavaScript number holds. */
export function typeParsers(): pg.CustomTypesConfig {
  const types = new pg.TypeOverrides()
  types.setTypeParser(INT8, safeInteger)
  return types
}

function safeInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`the database holds ${text}, more than can be counted exactly`)
  return value
}

const SERIALIZATION_FAILURE = '40001'
const DEADLOCK = '40P01'
const ATTEMPTS = 5

/** Units touch nothing but the database, so one that PostgreSQL broke off for another's sake can simply run again. */
async function inTransaction<Args, Result>(db: Queryable, unit: Unit<Args, Result>, args: Args): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute((tx) => unit.run(tx, args))
    } catch (error) {
      if (attempt === ATTEMPTS || !isConflict(error)) throw error
    }
  }
}

/** Of the transaction's own error, or of the one that came as its cause. */
function isConflict(error: unknown): boolean {
  const { code, cause } = error as { readonly code?: string; readonly cause?: unknown }
  if (code === SERIALIZATION_FAILURE || code === DEADLOCK) return true
  return cause instanceof Error && isConflict(cause)
}
