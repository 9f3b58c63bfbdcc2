import { Kysely, PostgresDialect } from '#kysely'
import pg from 'pg'
import { parseDsn } from '../dsn.ts'
import { typeParsers } from '../postgres.ts'
import type { Schema } from '../schema.ts'
import type { Queryable } from '../query.ts'

export interface OpenedSource extends AsyncDisposable {
  readonly db: Queryable
}

/** The name of a database, without user and password, by which it is known again. */
export function sourceName(dsn: string): string {
  const { host = 'localhost', port = 5432, database = '' } = parseDsn(dsn)
  return `${host}:${port}/${database}`
}

/**
 * Opens another PostgreSQL database to read from, or ours once more for reads that take longer than requests would wait.
 *
 * @throws {ConfigError} for an address that cannot be read
 */
export function openSource(dsn: string): OpenedSource {
  const pool = new pg.Pool({
    ...parseDsn(dsn),
    application_name: 'cellarium import',
    max: 2,
    idleTimeoutMillis: 60_000,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    types: typeParsers(),
  })
  // The next query gets a new connection, or fails with what is wrong.
  pool.on('error', () => {})
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
  return { db, [Symbol.asyncDispose]: () => db.destroy() }
}

const CONNECT_MS = 10_000
