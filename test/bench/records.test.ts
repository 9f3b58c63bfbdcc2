import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { fillPostgres, fillSqlite } from '../../bench/records/fill.ts'
import { amountsOf, mediaIdOf, originOf } from '../../bench/records/numbers.ts'
import { planOf } from '../../bench/records/plans.ts'
import { reads } from '../../bench/records/queries.ts'
import { keysOf } from '../../bench/records/time.ts'
import { type Database, openDatabase } from '../../src/db/connect.ts'
import { findMedia } from '../../src/db/media.ts'
import { usageOf } from '../../src/db/usage.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const MEDIA = 20_000

describe('A SQLite database filled for the bench', () => {
  test('has what its numbers say, and every query finds something', async () => {
    await using folder = await temporaryFolder()
    const sqlite = join(folder.path, 'filled.sqlite')
    await fillSqlite(sqlite, MEDIA)
    await expectFilled({ sqlite, postgres: '' })
  })
})

describeWith('postgres', 'A PostgreSQL database filled for the bench', () => {
  test('has what its numbers say, every query finds something, and all indexes are back', async () => {
    await using database = await freshDatabase()
    await using empty = await freshDatabase()
    await fillPostgres(database.url, MEDIA)
    await expectFilled({ sqlite: '', postgres: database.url })
    await using never = await open({ sqlite: '', postgres: empty.url })
    await using filled = await open({ sqlite: '', postgres: database.url })
    expect(await indexes(filled)).toEqual(await indexes(never))
  })
})

async function expectFilled(where: { readonly sqlite: string; readonly postgres: string }): Promise<void> {
  await using db = await open(where)
  const { contents, thumbnails } = amountsOf(MEDIA)
  for (const [table, rows] of [
    ['media', MEDIA],
    ['objects', contents + thumbnails],
    ['thumbnails', thumbnails],
  ] as const) {
    const counted = await db.read
      .selectFrom(table)
      .select(({ fn }) => fn.countAll<number>().as('rows'))
      .executeTakeFirst()
    expect(Number(counted?.rows), table).toBe(rows)
  }
  for (const { at } of keysOf(MEDIA)) {
    expect(await findMedia(db.read, originOf(at, MEDIA), mediaIdOf(at)), `media number ${at}`).toBeDefined()
  }
  const [key] = keysOf(MEDIA)
  for (const query of reads) {
    expect(key && (await query.run(db.read, key)), query.name).toBeGreaterThan(0)
    const { pages } = await planOf(query, { db, media: MEDIA })
    // Once the tables have been vacuumed, one page of an index and one that says what is visible can be all.
    if (db.engine === 'postgres' && !query.isBuiltAnew) expect(pages, query.name).toBeGreaterThan(0)
  }
  expect((await usageOf(db.read, 'remote')).files).toBe((MEDIA * 12) / 20)
}

async function open(where: { readonly sqlite: string; readonly postgres: string }): Promise<Database> {
  const pool = { maxConnections: 2, maxIdleConnections: 1 }
  return await openDatabase({ ...where, pool }, 'tool', pino({ level: 'silent' }))
}

async function indexes(db: Database): Promise<unknown> {
  const unknown = db.read
    .withoutPlugins()
    .withTables<{ 'pg_catalog.pg_indexes': { indexdef: string; schemaname: string } }>()
  const rows = await unknown
    .selectFrom('pg_catalog.pg_indexes')
    .select('indexdef')
    .where('schemaname', '=', 'cellarium')
    .orderBy('indexdef')
    .execute()
  return rows
}
