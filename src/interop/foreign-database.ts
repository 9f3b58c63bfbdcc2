import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import type { ClientConfig } from 'pg'

/** A row, with its columns by name. Numbers that do not fit are texts, truth is a boolean or 0 and 1: ask the helpers below. */
export type Row = Readonly<Record<string, unknown>>

/** Another program's database, only read: nothing in it changes, whatever becomes of us. */
export interface ForeignDatabase extends AsyncDisposable {
  /** For messages: without secrets. */
  readonly name: string
  /** Runs one statement; parameters are `$1`, `$2`, … */
  query(text: string, parameters?: readonly (string | number)[]): Promise<readonly Row[]>
  /** The columns of a table, in no order; none, where there is no such table. */
  columns(table: string): Promise<ReadonlySet<string>>
}

/** Where such a database is: a file of SQLite, or a server of PostgreSQL. */
export type ForeignAddress = { readonly sqlite: string } | { readonly postgres: ClientConfig }

/**
 * Opens it. A server in use does not notice: each statement is a short transaction of its own.
 *
 * @throws what the database says when it cannot be opened, with its name
 */
export async function openForeignDatabase(address: ForeignAddress): Promise<ForeignDatabase> {
  const name = 'sqlite' in address ? address.sqlite : nameOf(address.postgres)
  try {
    return 'sqlite' in address ? openSqlite(name) : await openPostgres(name, address.postgres)
  } catch (cause) {
    const why = cause instanceof AggregateError ? cause.errors.map(messageOf).join(', ') : messageOf(cause)
    throw new Error(`the database ${name} cannot be opened: ${why}`, { cause })
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

const nameOf = ({ host = 'localhost', port = 5432, database = '', user = '' }: ClientConfig) =>
  `${database} at ${host}:${port} (as ${user})`

function openSqlite(path: string): ForeignDatabase {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 30_000 })
  const query = async (text: string, parameters: readonly SQLInputValue[] = []): Promise<readonly Row[]> =>
    database.prepare(text.replaceAll(/\$(\d+)/g, '?$1')).all(...parameters)
  return {
    name: path,
    query,
    columns: async (table) => {
      const rows = await query('SELECT name FROM pragma_table_info($1)', [table])
      return new Set(rows.map((row) => textOf(row, 'name')))
    },
    async [Symbol.asyncDispose]() {
      database.close()
    },
  }
}

async function openPostgres(name: string, config: ClientConfig): Promise<ForeignDatabase> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({
    application_name: 'cellarium import',
    connectionTimeoutMillis: 15_000,
    keepAlive: true,
    ...config,
  })
  // A connection that is lost says so in an event too, which nobody hearing would end the process.
  client.on('error', () => {})
  await client.connect()
  await client.query('SET default_transaction_read_only = on')
  const query = async (text: string, parameters: readonly (string | number)[] = []) =>
    (await client.query<Record<string, unknown>>(text, [...parameters])).rows
  return {
    name,
    query,
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
