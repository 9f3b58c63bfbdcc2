import { readdir, readFile } from 'node:fs/promises'
import { type Kysely, type Migration, type MigrationProvider, Migrator, sql } from '#kysely'
import { ConfigError } from '../lib/errors.ts'
import type { Queryable } from './query.ts'

type Engine = 'sqlite' | 'postgres'

/** On PostgreSQL everything of ours lives in this schema, so that a homeserver or MMR may share the database. */
export const POSTGRES_SCHEMA = 'cellarium'

const MIGRATIONS = new URL('../../migrations/', import.meta.url)

/**
 * Brings the database to this version's tables. Instances that start at once do it one after the other (Kysely's migrator
 * takes a lock on PostgreSQL). A database of a newer version is refused: going back needs a backup.
 */
export async function migrate(db: Queryable, engine: Engine, folder: URL = MIGRATIONS): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: sqlFiles(engine, folder),
    migrationTableName: 'migrations',
    migrationLockTableName: 'migrations_lock',
    ...(engine === 'postgres' ? { migrationTableSchema: POSTGRES_SCHEMA } : {}),
  })
  const { error, results } = await migrator.migrateToLatest()
  if (!error) return
  const failed = results?.find((result) => result.status === 'Error')?.migrationName
  if (failed) throw new Error(`migration ${failed} failed`, { cause: error })
  throw newerVersion(error) ?? error
}

/** Kysely's word for migrations that were run and that this version does not have. */
function newerVersion(error: unknown): Error | undefined {
  const text = error instanceof Error ? error.message : ''
  const [, migration] = /^corrupted migrations: previously executed migration (\S+) is missing/.exec(text) ?? []
  if (!migration) return undefined
  const message =
    `the database was used by a newer version of Cellarium (it has ${migration}): start that one, ` +
    'or go back to a backup from before it'
  return new ConfigError([message], { cause: error })
}

/** `NNNN-name.sql` for both engines, or `NNNN-name.sqlite.sql` and `NNNN-name.postgres.sql` where one text cannot serve. */
function sqlFiles(engine: Engine, folder: URL): MigrationProvider {
  return {
    async getMigrations() {
      const migrations: Record<string, Migration> = {}
      for (const file of (await readdir(folder)).toSorted()) {
        const [, name, only] = /^(\d{4}-[a-z0-9-]+)(?:\.(sqlite|postgres))?\.sql$/.exec(file) ?? []
        if (!name || (only && only !== engine)) continue
        const text = await readFile(new URL(file, folder), 'utf8')
        migrations[name] = { up: (db) => run(db, engine, text) }
      }
      return migrations
    },
  }
}

async function run(db: Kysely<unknown>, engine: Engine, text: string): Promise<void> {
  if (engine === 'postgres') await sql.raw(`SET LOCAL search_path TO ${POSTGRES_SCHEMA}`).execute(db)
  for (const statement of statements(text)) {
    await sql.raw(engine === 'postgres' ? bytewise(statement) : statement).execute(db)
  }
}

function statements(text: string): string[] {
  return text
    .replaceAll(/^--.*$/gm, '')
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}

/** SQLite compares text bytewise; PostgreSQL would by the database's language, in which two different ids can be equal. */
function bytewise(statement: string): string {
  return /^(CREATE|ALTER) TABLE\b/.test(statement) ? statement.replaceAll(/\bTEXT\b/g, 'TEXT COLLATE "C"') : statement
}
