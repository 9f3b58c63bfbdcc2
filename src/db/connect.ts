import { access, constants } from 'node:fs/promises'
import { dirname } from 'node:path'
import { sql } from '#kysely'
import { Availability, type OnAvailability } from '../lib/availability.ts'
import { makeLastingFolder } from '../lib/durable.ts'
import { ConfigError, messagesOf } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { migrate } from './migrate.ts'
import { tryWriting } from './ping.ts'
import type { PostgresWaits } from './postgres-pool.ts'
import type { Queryable, Unit } from './query.ts'
import { kyselyOn, lockForServer, openForReading, openForWriting, Version } from './sqlite.ts'
import { SqliteWrites } from './sqlite-writes.ts'
import { noteFailure } from './unavailable.ts'

/** Where records are kept: one shape for both engines. What cannot be done at the moment throws `DatabaseUnavailable`. */
export interface Database extends AsyncDisposable {
  readonly engine: 'sqlite' | 'postgres'
  /** For single statements that change nothing. */
  readonly read: Queryable
  /** Runs a write unit as one transaction; resolves once its commit is on stable storage. */
  write<Args, Result>(unit: Unit<Args, Result>, args: Args): Promise<Result>
  /** Resolves at once while nothing is known to be wrong; else tries to write, and throws `DatabaseUnavailable` if that fails. */
  ready(): Promise<void>
  /**
   * A number that is another after each commit, whoever makes it (another program's: from the next turn of the event loop on);
   * undefined where finding out costs as much as a query.
   */
  version(): number | undefined
}

/** Whether no other server works with this database: nobody but this process competes for what is in it. */
export const isAlone = ({ engine }: Pick<Database, 'engine'>): boolean => engine === 'sqlite'

/** As an engine gives it. */
export type OpenedDatabase = Omit<Database, 'ready'>

export interface DatabaseOptions {
  /** Path of the SQLite file; used when `postgres` is empty. */
  readonly sqlite: string
  /** Address of a PostgreSQL database, as libpq reads it. */
  readonly postgres: string
  readonly pool: { readonly maxConnections: number; readonly maxIdleConnections: number }
}

export interface MoreDatabaseParts {
  /** Hears of the first failure of an outage, and of its end. */
  readonly onAvailability?: OnAvailability
  /** For tests: how long PostgreSQL may take, in ms. */
  readonly waits?: Partial<PostgresWaits>
}

/**
 * Opens the database, with its tables brought up to date. A `server` on SQLite is refused while another one uses the file;
 * a `tool` may work beside it.
 */
export async function openDatabase(
  options: DatabaseOptions,
  role: 'server' | 'tool',
  log: Log,
  more: MoreDatabaseParts = {},
): Promise<Database> {
  const { onAvailability: onChange = () => {}, waits } = more
  const availability = new Availability({ now: () => performance.now(), onChange })
  try {
    const opened = options.postgres
      ? await (await import('./postgres.ts')).openPostgres(options, { log, availability, waits })
      : await openSqlite(options.sqlite, role, availability)
    return { ...opened, ready: tryOnce(opened, availability) }
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    const which = options.postgres ? 'PostgreSQL (database.postgres)' : `${options.sqlite} (database.sqlite)`
    throw new ConfigError([`cannot use the database ${which}: ${messagesOf(cause).join(': ')}`], {
      cause,
      mayPass: true,
    })
  }
}

/** SQLite itself only says that it cannot open a file, or that the database is read-only, once it is written to. */
async function expectWritable(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await access(path, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
}

/** One try for all who ask meanwhile: they would only wait for each other's connections. */
function tryOnce(db: OpenedDatabase, availability: Availability): () => Promise<void> {
  let trying: Promise<void> | undefined
  const tryNow = async () => {
    await db.write(tryWriting, undefined)
    availability.recovered()
  }
  return async () => {
    if (availability.problem === undefined) return
    await (trying ??= tryNow().finally(() => (trying = undefined)))
  }
}

async function openSqlite(path: string, role: 'server' | 'tool', availability: Availability): Promise<OpenedDatabase> {
  await makeLastingFolder(dirname(path), 0o700)
  await expectWritable([dirname(path), path, ...(role === 'server' ? [`${path}.lock`] : [])])
  await using closing = new AsyncDisposableStack()
  if (role === 'server') closing.use(lockForServer(path))
  await migrateSqlite(path)
  const writes = closing.use(new SqliteWrites(path))
  const reading = openForReading(path)
  const noted = (error: unknown) => noteFailure(availability, error)
  const read = kyselyOn(reading, noted)
  closing.defer(() => read.destroy())
  // Kysely closes only what it has used; one query also makes the first request as fast as the next.
  await sql`select 1`.execute(read)
  const version = new Version(reading)
  const open = closing.move()
  return {
    engine: 'sqlite',
    read,
    write: async (unit, args) => {
      try {
        const result = await writes.write(unit, args)
        version.forget()
        availability.worked()
        return result
      } catch (error) {
        throw noted(error)
      }
    },
    version: () => version.now(),
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
