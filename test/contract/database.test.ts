import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { type Database, type DatabaseOptions, openDatabase } from '../../src/db/connect.ts'
import { commitMedia, findMedia } from '../../src/db/media.ts'
import { ConfigError } from '../../src/lib/errors.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { databaseContract } from './database.ts'
import { type DatabaseUnderTest, many, media } from './database/support.ts'

databaseContract('Records in SQLite', () => openSqlite())

describeWith('postgres', 'PostgreSQL', () => {
  databaseContract('Records in PostgreSQL', () => openPostgres())

  test('several instances that start at once on an empty database all find its tables', async () => {
    await using database = await freshDatabase()
    const opened = await Promise.all(many(5, () => openDatabase(postgresOptions(database.url), 'server', log)))
    for (const [index, db] of opened.entries()) {
      const offered = media({ mediaId: `media${index}` })
      expect(await db.write(commitMedia, offered)).toMatchObject({ outcome: 'stored' })
    }
    for (const db of opened) await db[Symbol.asyncDispose]()
  })

  test('keeps everything of ours in a schema of its own, with texts that compare bytewise', async () => {
    await using under = await openPostgres()
    const { rows } = await under.query(
      `SELECT table_schema, collation_name FROM information_schema.columns
       WHERE data_type = 'text' AND table_schema NOT IN ('pg_catalog', 'information_schema')`,
    )
    expect(rows.length).toBeGreaterThan(10)
    for (const row of rows) expect(row).toEqual({ table_schema: 'cellarium', collation_name: 'C' })
    const outside = await under.query(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
    expect(outside.rows).toEqual([])
  })

  test('that breaks off a transaction for a deadlock gets it again', async () => {
    await using under = await openPostgres()
    const breaking = { unit: 'breaking', run: failingFirst(2, '40P01') }
    expect(await under.db.write(breaking, undefined)).toBe(3)
  })

  test('that breaks off a transaction for another reason fails it', async () => {
    await using under = await openPostgres()
    const breaking = { unit: 'breaking', run: failingFirst(1, '23505') }
    await expect(under.db.write(breaking, undefined)).rejects.toMatchObject({ code: '23505' })
  })

  test('that ends a connection in the middle of a transaction fails that one, and the next works', async () => {
    await using under = await openPostgres()
    const began = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const held = {
      unit: 'held',
      run: async (tx: Database['read']) => {
        await tx.selectFrom('media').select('media_id').execute()
        began.resolve()
        await goOn.promise
        return await tx.selectFrom('media').select('media_id').execute()
      },
    }
    const writing = under.db.write(held, undefined).then(
      () => 'written',
      () => 'failed',
    )
    await began.promise
    await under.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cellarium' AND datname = current_database()`,
    )
    await untilNone(under)
    goOn.resolve()
    expect(await writing).toBe('failed')
    expect(await under.db.write(commitMedia, media())).toMatchObject({ outcome: 'stored' })
  })

  test('that cannot be reached is said to be that, without its password', async () => {
    const opening = openDatabase(postgresOptions('postgres://user:secret-word@127.0.0.1:1/none'), 'server', log)
    const error = await opening.catch((refused: unknown) => refused)
    expect(String(error)).toMatch(
      /^ConfigError: cannot use the database PostgreSQL \(database\.postgres\): .*ECONNREFUSED/,
    )
    expect(String(error)).not.toContain('secret-word')
  })
})

describe('A SQLite file', () => {
  test('serves one server at a time; the second is told to use PostgreSQL', async () => {
    await using folder = await temporaryFolder()
    const options = sqliteOptions(join(folder.path, 'db.sqlite'))
    {
      await using _ = await openDatabase(options, 'server', log)
      const second = openDatabase(options, 'server', log)
      await expect(second).rejects.toThrow(ConfigError)
      await expect(second).rejects.toThrow(/another Cellarium server uses .*db\.sqlite.*PostgreSQL.*database\.postgres/)
    }
    await using after = await openDatabase(options, 'server', log)
    expect(await after.write(commitMedia, media())).toMatchObject({ outcome: 'stored' })
  })

  test('can be used by tools beside its server, in both directions', async () => {
    await using under = await openSqlite()
    await using tool = await under.another()
    const [ours, theirs] = [media(), media()]
    await Promise.all([under.db.write(commitMedia, ours), tool.write(commitMedia, theirs)])
    expect(await findMedia(tool.read, ours.origin, ours.mediaId)).toBeDefined()
    expect(await findMedia(under.db.read, theirs.origin, theirs.mediaId)).toBeDefined()
  })

  test('lies in a folder that is made for it, and that others cannot look into', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'new', 'data', 'db.sqlite')
    await using db = await openDatabase(sqliteOptions(path), 'server', log)
    expect(await db.write(commitMedia, media())).toMatchObject({ outcome: 'stored' })
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700)
  })

  test('cannot be written through the connection that reads', async () => {
    await using under = await openSqlite()
    await expect(under.db.read.deleteFrom('media').execute()).rejects.toMatchObject({
      name: 'DatabaseUnavailable',
      cause: { message: expect.stringContaining('readonly') },
    })
  })

  test('that is no database is refused', async () => {
    await using folder = await temporaryFolder()
    await expect(openDatabase(sqliteOptions(folder.path), 'server', log)).rejects.toThrow()
  })

  test('answers what was asked before it is closed, and refuses what comes after', async () => {
    await using folder = await temporaryFolder()
    const options = sqliteOptions(join(folder.path, 'db.sqlite'))
    const offers = many(50, () => media())
    const db = await openDatabase(options, 'server', log)
    const writes = offers.map((offer) => db.write(commitMedia, offer))
    await db[Symbol.asyncDispose]()
    expect((await Promise.all(writes)).every(({ outcome }) => outcome === 'stored')).toBe(true)
    await expect(db.write(commitMedia, media())).rejects.toThrow('closed')
    await using again = await openDatabase(options, 'server', log)
    for (const { origin, mediaId } of offers) expect(await findMedia(again.read, origin, mediaId)).toBeDefined()
  })
})

const log = pino({ level: 'silent' })
const pool = { maxConnections: 20, maxIdleConnections: 2 }

function sqliteOptions(sqlite: string): DatabaseOptions {
  return { sqlite, postgres: '', pool }
}

function postgresOptions(postgres: string): DatabaseOptions {
  return { sqlite: '', postgres, pool }
}

async function openSqlite(): Promise<DatabaseUnderTest> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder())
  const path = join(folder.path, 'db.sqlite')
  const db = cleanup.use(await openDatabase(sqliteOptions(path), 'server', log))
  const owned = cleanup.move()
  return {
    db,
    another: () => openDatabase(sqliteOptions(path), 'tool', log),
    execute: async (statement) => {
      const client = new DatabaseSync(path, { timeout: 5000 })
      try {
        client.exec(statement)
      } finally {
        client.close()
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface PostgresUnderTest extends DatabaseUnderTest {
  readonly query: (statement: string) => Promise<pg.QueryResult>
}

async function openPostgres(): Promise<PostgresUnderTest> {
  await using cleanup = new AsyncDisposableStack()
  const { url } = cleanup.use(await freshDatabase())
  const db = cleanup.use(await openDatabase(postgresOptions(url), 'server', log))
  const client = new pg.Client({ connectionString: url, application_name: 'the test' })
  await client.connect()
  cleanup.defer(() => client.end())
  const owned = cleanup.move()
  return {
    db,
    another: () => openDatabase(postgresOptions(url), 'server', log),
    query: (statement) => client.query(statement),
    execute: async (statement) => void (await client.query(statement)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** A unit that PostgreSQL breaks off so many times, and that then gives how often it was run. */
function failingFirst(times: number, code: string): () => Promise<number> {
  let runs = 0
  return async () => {
    runs++
    if (runs <= times) throw Object.assign(new Error('broken off'), { code })
    return runs
  }
}

async function untilNone({ query }: PostgresUnderTest): Promise<void> {
  const count = `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'cellarium'`
  while ((await query(count)).rows[0]?.count > 0) await pause(10)
}
