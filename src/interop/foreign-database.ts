import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { ClientConfig } from 'pg'
import { DatabaseUnavailable } from '../lib/errors.ts'

/** A row, with its columns by name. Numbers that do not fit are texts, truth is a boolean or 0 and 1: ask the helpers below. */
export type Row = Readonly<Record<string, unknown>>

/** A parameter of a statement. Truth is 1 or 0, which either engine takes. */
export type Parameter = string | number | null

/** Runs one statement; parameters are `$1`, `$2`, … Throws `DatabaseUnavailable` where the database has gone away. */
export type Query = (text: string, parameters?: readonly Parameter[]) => Promise<readonly Row[]>

/** Another program's database, only read: nothing in it changes, whatever becomes of us. */
export interface ForeignDatabase extends AsyncDisposable {
  /** For messages: without secrets. */
  readonly name: string
  readonly query: Query
  /** The columns of a table, in no order; none, where there is no such table. */
  columns(table: string): Promise<ReadonlySet<string>>
}

/** Another program's database, to put something in. */
export interface WritableDatabase extends ForeignDatabase {
  readonly engine: 'sqlite' | 'postgres'
  /** All of what `work` does, or nothing. One at a time. */
  transaction<Result>(work: (query: Query) => Promise<Result>): Promise<Result>
}

/** Where such a database is: a file of SQLite, or a server of PostgreSQL. */
export type ForeignAddress = { readonly sqlite: string } | { readonly postgres: ClientConfig }

/**
 * Opens it. A server in use does not notice: each statement is a short transaction of its own.
 *
 * @throws what the database says when it cannot be opened, with its name
 */
export async function openForeignDatabase(address: ForeignAddress): Promise<ForeignDatabase> {
  return await open(address, { readOnly: true })
}

/**
 * Opens it to put something in.
 *
 * @throws what the database says when it cannot be opened, with its name
 */
export async function openWritableDatabase(address: ForeignAddress): Promise<WritableDatabase> {
  return await open(address, { readOnly: false })
}

interface Opening {
  readonly readOnly: boolean
}

async function open(address: ForeignAddress, opening: Opening): Promise<WritableDatabase> {
  const name = 'sqlite' in address ? address.sqlite : nameOf(address.postgres)
  try {
    return 'sqlite' in address ? openSqlite(name, opening) : await openPostgres(name, address.postgres, opening)
  } catch (cause) {
    const why = cause instanceof AggregateError ? cause.errors.map(messageOf).join(', ') : messageOf(cause)
    throw new Error(`the database ${name} cannot be opened: ${why}`, { cause })
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

const nameOf = ({ host = 'localhost', port = 5432, database = '', user = '' }: ClientConfig) =>
  `${database} at ${host}:${port} (as ${user})`

function openSqlite(path: string, { readOnly }: Opening): WritableDatabase {
  // Opened to be written, a file that is missing would be made.
  if (!readOnly && !existsSync(path)) throw new Error('there is no such file')
  const database = new DatabaseSync(path, { readOnly, timeout: 30_000, readBigInts: true })
  // It is only looked at when it is first asked something.
  database.prepare('SELECT count(*) FROM sqlite_schema').get()
  const query = tellingLoss(path, async (text, parameters = []) =>
    database
      .prepare(text.replaceAll(/\$(\d+)/g, '?$1'))
      .all(...parameters)
      .map(withoutBigInts),
  )
  return {
    name: path,
    engine: 'sqlite',
    query,
    transaction: (work) => inTransaction(query, 'BEGIN IMMEDIATE', work),
    columns: async (table) => {
      const rows = await query('SELECT name FROM pragma_table_info($1)', [table])
      return new Set(rows.map((row) => textOf(row, 'name')))
    },
    async [Symbol.asyncDispose]() {
      database.close()
    },
  }
}

/** PostgreSQL's classes for connections, operators and defects; and what the network says. */
const GONE_POSTGRES = /^(08|53|57|58|XX)|^E[A-Z]{4,}$/
/** What its client says itself has no code. */
const GONE_CLIENT = /connection|not queryable/i
/** SQLite's for locks that do not end, disks that cannot be read, and files that are damaged. */
const GONE_SQLITE = new Set([5, 10, 11, 14, 26])

function tellingLoss(name: string, query: Query): Query {
  return async (text, parameters) => {
    try {
      return await query(text, parameters)
    } catch (error) {
      if (!isLoss(error)) throw error
      const cause = new Error(`the database ${name} cannot be used any more: ${messageOf(error)}`, { cause: error })
      throw new DatabaseUnavailable(cause.message, { cause })
    }
  }
}

function isLoss(error: unknown): boolean {
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown }
  if (typeof errcode === 'number') return GONE_SQLITE.has(errcode & 0xff)
  return typeof code === 'string' ? GONE_POSTGRES.test(code) : GONE_CLIENT.test(messageOf(error))
}

/** As PostgreSQL's client: numbers that do not fit are texts. */
const withoutBigInts = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([column, value]) => {
      if (typeof value !== 'bigint') return [column, value]
      const number = Number(value)
      return [column, Number.isSafeInteger(number) ? number : String(value)]
    }),
  )

async function openPostgres(name: string, config: ClientConfig, { readOnly }: Opening): Promise<WritableDatabase> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({
    application_name: readOnly ? 'cellarium import' : 'cellarium export',
    connectionTimeoutMillis: 15_000,
    keepAlive: true,
    ...config,
  })
  // A connection that is lost says so in an event too, which nobody hearing would end the process.
  client.on('error', () => {})
  await client.connect()
  if (readOnly) await client.query('SET default_transaction_read_only = on')
  const query = tellingLoss(
    name,
    async (text, parameters = []) => (await client.query<Record<string, unknown>>(text, [...parameters])).rows,
  )
  return {
    name,
    engine: 'postgres',
    query,
    transaction: (work) => inTransaction(query, 'BEGIN', work),
    columns: async (table) => {
      const rows = await query(
        'SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0',
        [table],
      )
      return new Set(rows.map((row) => textOf(row, 'name')))
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}

async function inTransaction<Result>(
  query: Query,
  begin: string,
  work: (query: Query) => Promise<Result>,
): Promise<Result> {
  await query(begin)
  try {
    const result = await work(query)
    await query('COMMIT')
    return result
  } catch (error) {
    // Where the connection is gone, so is the transaction.
    await query('ROLLBACK').catch(() => {})
    throw error
  }
}

/** A column that is a text, or can be one. */
export function textOf(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value)
}

/** A text, or null where the database has none. */
export const textOrNull = (row: Row, column: string): string | null =>
  row[column] === null || row[column] === undefined ? null : textOf(row, column)

/** A whole number, or null. (PostgreSQL's client gives large ones as texts.) */
export function numberOrNull(row: Row, column: string): number | null {
  const value = row[column]
  if (value === null || value === undefined) return null
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : null
}

/** Truth, as either engine has it. */
export const isTrue = (row: Row, column: string): boolean =>
  [true, 1, 1n, 'true', 't', '1'].includes(row[column] as never)
