/** Fills databases with any number of records, fast: in single statements, with indexes made at the end. */
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { pino } from 'pino'
import { openDatabase } from '../../src/db/connect.ts'
import { fillingStatements, postgres, sqlite } from './numbers.ts'

/** Makes the SQLite file `path` with this version's tables and so many media in it. */
export async function fillSqlite(path: string, media: number): Promise<void> {
  await makeTables({ sqlite: path, postgres: '' })
  const database = new DatabaseSync(path)
  try {
    // A file that a crash leaves half filled is made again; nobody waits for the disk, and sorting stays in memory.
    database.exec(
      'PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1500000',
    )
    const indexes = database
      .prepare(`SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`)
      .all()
    for (const { name } of indexes) database.exec(`DROP INDEX ${String(name)}`)
    for (const statement of fillingStatements(media, sqlite)) database.exec(statement)
    for (const { sql } of indexes) database.exec(String(sql))
    database.exec('ANALYZE; PRAGMA journal_mode = WAL')
  } finally {
    database.close()
  }
}

/** Gives an empty PostgreSQL database this version's tables with so many media in them. */
export async function fillPostgres(url: string, media: number): Promise<void> {
  await makeTables({ sqlite: '', postgres: url })
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`SET search_path TO cellarium; SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'`)
    const restore = await dropIndexes(client)
    for (const statement of fillingStatements(media, postgres)) await client.query(statement)
    for (const statement of restore) await client.query(statement)
    await client.query('VACUUM (ANALYZE)')
  } finally {
    await client.end()
  }
}

async function makeTables(where: { readonly sqlite: string; readonly postgres: string }): Promise<void> {
  const pool = { maxConnections: 2, maxIdleConnections: 1 }
  const database = await openDatabase({ ...where, pool }, 'tool', pino({ level: 'silent' }))
  await database[Symbol.asyncDispose]()
}

/** Drops keys and indexes of the tables that are filled, and foreign keys that lean on them; gives the statements that bring them back, in their order. */
async function dropIndexes(client: pg.Client): Promise<string[]> {
  const constraints = await client.query<{ on: string; name: string; definition: string }>(
    `SELECT conrelid::regclass::text AS on, conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE conrelid IN ('objects'::regclass, 'media'::regclass, 'thumbnails'::regclass) AND contype IN ('p', 'u', 'f')
       OR confrelid IN ('objects'::regclass, 'media'::regclass, 'thumbnails'::regclass)
     ORDER BY contype = 'f'`,
  )
  for (const { on, name } of constraints.rows.toReversed())
    await client.query(`ALTER TABLE ${on} DROP CONSTRAINT ${name}`)
  const indexes = await client.query<{ name: string; definition: string }>(
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes
     WHERE schemaname = 'cellarium' AND tablename IN ('objects', 'media', 'thumbnails')`,
  )
  for (const { name } of indexes.rows) await client.query(`DROP INDEX ${name}`)
  return [
    ...constraints.rows.map(({ on, name, definition }) => `ALTER TABLE ${on} ADD CONSTRAINT ${name} ${definition}`),
    ...indexes.rows.map(({ definition }) => definition),
  ]
}
