import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Kysely, SqliteAdapter, SqliteDialect } from '#kysely'
import { ConfigError } from '../lib/errors.ts'
import { lockFile } from '../lib/process-lock.ts'
import type { Queryable } from './query.ts'
import type { Schema } from './schema.ts'

const KEPT_STATEMENTS = 200
/** Room for the inner pages of the indexes of millions of media; SQLite's own 2 MiB make look-ups among them half as slow again. */
const READ_CACHE_KIB = 16 * 1024

/** Opens the file for writing: write-ahead log, every commit synced to disk before it counts. */
export function openForWriting(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 10_000, enableForeignKeyConstraints: true })
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = FULL')
  return database
}

/** Opens the file for reading beside the writer: sees each commit as soon as it is made. */
export function openForReading(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 10_000 })
  database.exec(`PRAGMA cache_size = -${READ_CACHE_KIB}`)
  return database
}

/**
 * Tells the state of a database: another number once anybody has committed. Asking SQLite costs as much as finding a record, so
 * that is done once in each turn of the event loop (what came in one turn came at once), and after each commit of our own.
 */
export class Version {
  readonly #statement: StatementSync
  #known: number | undefined

  constructor(reading: DatabaseSync) {
    this.#statement = reading.prepare('PRAGMA data_version')
    this.#statement.setReturnArrays(true)
  }

  now(): number {
    if (this.#known !== undefined) return this.#known
    const [version] = this.#statement.get() as unknown as [number]
    this.#known = version
    setImmediate(() => this.forget())
    return version
  }

  /** Something was committed: the next who wants to know has to ask. */
  forget(): void {
    this.#known = undefined
  }
}

/** Gives a query's error as callers are to see it. */
type Explain = (error: unknown) => unknown

const asItIs: Explain = (error) => error

/** Kysely on one connection of Node's own SQLite. */
export function kyselyOn(database: DatabaseSync, explain = asItIs): Queryable {
  return new Kysely<Schema>({ dialect: new Dialect({ database: adapt(database, explain) }) })
}

class Dialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new Adapter()
  }
}

/** Kysely's says that SQLite cannot change tables in a transaction. It can, and a migration is all or nothing. */
class Adapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

/** The part of better-sqlite3's shape that Kysely asks for, with prepared statements kept. */
function adapt(database: DatabaseSync, explain: Explain) {
  const kept = new Map<string, ReturnType<typeof statement>>()
  const prepare = (text: string) => explained(explain, () => statement(database.prepare(text), explain))
  return {
    close: () => database.close(),
    prepare(text: string) {
      let found = kept.get(text)
      if (!found) {
        if (kept.size >= KEPT_STATEMENTS) kept.clear()
        kept.set(text, (found = prepare(text)))
      }
      return found
    },
  }
}

/** Rows come as arrays and are named here: the objects that Node makes of rows cost several times the query. */
function statement(prepared: StatementSync, explain: Explain) {
  prepared.setReturnArrays(true)
  const names = prepared.columns().map((column) => column.name)
  const named = (values: unknown) => nameRow(names, values as unknown[])
  return {
    reader: names.length > 0,
    all: (parameters: readonly unknown[]) =>
      explained(explain, () => prepared.all(...(parameters as SQLInputValue[])).map(named)),
    run: (parameters: readonly unknown[]) => explained(explain, () => prepared.run(...(parameters as SQLInputValue[]))),
    *iterate(parameters: readonly unknown[]) {
      for (const values of prepared.iterate(...(parameters as SQLInputValue[]))) yield named(values)
    },
  }
}

function explained<Result>(explain: Explain, query: () => Result): Result {
  try {
    return query()
  } catch (error) {
    throw explain(error)
  }
}

function nameRow(names: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (let index = 0; index < names.length; index++) row[names[index] ?? ''] = values[index]
  return row
}

/**
 * Makes this process the only server on the file, until it ends in whatever way: an exclusive lock on a file beside it,
 * which the operating system drops with the process. Tools do not take it; they may work beside a server.
 */
export function lockForServer(path: string): Disposable {
  const lock = lockFile(`${path}.lock`)
  if (lock) return lock
  throw new ConfigError(
    [
      `another Cellarium server uses ${path}: stop it, or give each instance the same PostgreSQL database ` +
        '(database.postgres) to run several',
    ],
    { mayPass: true },
  )
}
