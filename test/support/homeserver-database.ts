/** Databases of homeservers that tests write themselves, from the documented tables: SQLite, or PostgreSQL. */
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'

/** What a value of a row may be; truth is written as the engine has it. */
export type Value = string | number | boolean | null

export interface HomeserverDatabase extends AsyncDisposable {
  /** As `--database` takes it. */
  readonly address: string
  readonly execute: (text: string) => Promise<void>
  readonly insert: (table: string, row: Readonly<Record<string, Value>>) => Promise<void>
}

/** A file of SQLite at `path`, or the PostgreSQL database at `url`. */
export async function openHomeserverDatabase(at: { path: string } | { url: string }): Promise<HomeserverDatabase> {
  if ('path' in at) return openSqlite(at.path)
  const client = new pg.Client({ connectionString: at.url })
  await client.connect()
  return {
    address: at.url,
    execute: async (text) => void (await client.query(text)),
    insert: async (table, row) => {
      const marks = Object.keys(row).map((_, index) => `$${index + 1}`)
      await client.query(
        `INSERT INTO ${table} (${Object.keys(row).join()}) VALUES (${marks.join()})`,
        Object.values(row),
      )
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}

function openSqlite(path: string): HomeserverDatabase {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF')
  return {
    address: path,
    execute: async (text) => database.exec(text),
    insert: async (table, row) => {
      const marks = Object.keys(row).map(() => '?')
      const values = Object.values(row).map((value) => (typeof value === 'boolean' ? Number(value) : value))
      database.prepare(`INSERT INTO ${table} (${Object.keys(row).join()}) VALUES (${marks.join()})`).run(...values)
    },
    async [Symbol.asyncDispose]() {
      database.close()
    },
  }
}
