import { dirname } from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { makeLastingFolder } from '../lib/durable.ts'
import { ConfigError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { parseDsn } from './dsn.ts'
import { migrate, POSTGRES_SCHEMA } from './migrate.ts'
import type { Queryable, Unit } from './query.ts'
import type { Schema } from './schema.ts'
import { kyselyOn, lockForServer, openForReading, openForWriting, versionOf } from './sqlite.ts'
import { SqliteWrites } from './sqlite-writes.ts'

/** Where records are kept: one shape for both engines. */
export interface Database extends AsyncDisposable {
  readonly engine: 'sqlite' | 'postgres'
  /** For single statements that change nothing. */
  readonly read: Queryable
  /** Runs a write unit as one transaction; resolves once its commit is on stable storage. */
  write<Args, Result>(unit: Unit<Args, Result>, args: Args): Promise<Result>
  /** A number that is another after each commit, whoever makes it; undefined where finding out costs as much as a query. */
  version(): number | undefined
}

export interface DatabaseOptions {
  /** Path of the SQLite file; used when `postgres` is empty. */
  readonly sqlite: string
  /** Address of a PostgreSQL database, as libpq reads it. */
  readonly postgres: string
  readonly pool: { readonly maxConnections: number; readonly maxIdleConnections: number }
}

/**
 * Opens the database, with its tables brought up to date. A `server` on SQLite is refused while another one uses the file;
 * a `tool` may work beside it.
 */
export async function openDatabase(options: DatabaseOptions, role: 'server' | 'tool', log: Log): Promise<Database> {
  try {
    return options.postgres ? await openPostgres(options, log) : await openSqlite(options.sqlite, role)
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    const which = options.postgres ? 'PostgreSQL (database.postgres)' : `${options.sqlite} (database.sqlite)`
    throw new ConfigError([`cannot use the database ${which}: ${messages(cause).join(': ')}`], { cause })
  }
}

function messages(error: unknown): string[] {
  if (error instanceof AggregateError) return error.errors.flatMap(messages)
  return error instanceof Error ? [error.message, ...messages(error.cause)] : []
}

async function openSqlite(path: string, role: 'server' | 'tool'): Promise<Database> {
  await makeLastingFolder(dirname(path), 0o700)
  await using closing = new AsyncDisposableStack()
  if (role === 'server') closing.use(lockForServer(path))
  await migrateSqlite(path)
  const writes = closing.use(new SqliteWrites(path))
  const reading = openForReading(path)
  const read = kyselyOn(reading)
  closing.defer(() => read.destroy())
  // Kysely closes only what it has used; one query also makes the first request as fast as the next.
  await sql`select 1`.execute(read)
  const open = closing.move()
  return {
    engine: 'sqlite',
    read,
    write: (unit, args) => writes.write(unit, args),
    version: versionOf(reading),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

async function migrateSqlite(path: string): Promise<void> {
  const db = kyselyOn(openForWriting(path))
  try {
    await migrate(db, 'sqlite')
  } finally {
    await db.destroy()
  }
}

const INT8 = 20
const SERIALIZATION_FAILURE = '40001'
const DEADLOCK = '40P01'
const ATTEMPTS = 5

/** bigint comes as text; ours are milliseconds and bytes, which a JavaScript number holds. */
function typeParsers(): pg.CustomTypesConfig {
  const types = new pg.TypeOverrides()
  types.setTypeParser(INT8, safeInteger)
  return types
}

function safeInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`the database holds ${text}, more than can be counted exactly`)
  return value
}

async function openPostgres(options: DatabaseOptions, log: Log): Promise<Database> {
  const pool = new pg.Pool({
    ...parseDsn(options.postgres),
    application_name: 'cellarium',
    max: options.pool.maxConnections,
    // Never below what is configured as idle: closing and reopening connections costs MMR two thirds of its speed.
    min: Math.min(options.pool.maxIdleConnections, options.pool.maxConnections),
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    types: typeParsers(),
  })
  pool.on('error', (error) => log.warn({ err: error }, 'a PostgreSQL connection was lost'))
  // A connection lost while a transaction holds it says so in an event of its own too, which nobody hearing would end the
  // process. The transaction's next statement fails anyway.
  pool.on('connect', (client) => client.on('error', () => {}))
  await using closing = new AsyncDisposableStack()
  const unqualified = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
  closing.defer(() => unqualified.destroy())
  await migrate(unqualified, 'postgres')
  const db = unqualified.withSchema(POSTGRES_SCHEMA)
  const open = closing.move()
  return {
    engine: 'postgres',
    read: db,
    write: (unit, args) => inTransaction(db, unit, args),
    version: () => undefined,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** Units touch nothing but the database, so one that PostgreSQL broke off for another's sake can simply run again. */
async function inTransaction<Args, Result>(db: Queryable, unit: Unit<Args, Result>, args: Args): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute((tx) => unit.run(tx, args))
    } catch (error) {
      const code = (error as { code?: string }).code
      if (attempt === ATTEMPTS || (code !== SERIALIZATION_FAILURE && code !== DEADLOCK)) throw error
    }
  }
}
