import { DatabaseSync } from 'node:sqlite'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from '#kysely'
import { describe, expect, test } from 'vitest'
import { compiled, isPostgres, lockFreeRows, lockRows, type Queryable } from './query.ts'
import type { Schema } from './schema.ts'
import { kyselyOn } from './sqlite.ts'
import { units } from './units.ts'

describe('A compiled query', () => {
  test('is built once for each engine, and bound to what is asked for each time', async () => {
    const db = sqlite()
    let built = 0
    const byName = compiled((on, name: { origin: string; mediaId: string }) => {
      built++
      return on
        .selectFrom('pending_media')
        .select(['uploader', 'created_at as createdAt'])
        .where('media_id', '=', name.mediaId)
        .where('origin', '=', name.origin)
    })
    expect(await byName(db, { origin: 'one.org', mediaId: 'a' })).toEqual([{ uploader: 'alice', createdAt: 1 }])
    expect(await byName(db, { origin: 'two.org', mediaId: 'a' })).toEqual([{ uploader: 'bob', createdAt: 2 }])
    expect(await byName(db, { origin: 'one.org', mediaId: 'two.org' })).toEqual([])
    expect(built).toBe(1)
    await byName(postgres(), { origin: 'one.org', mediaId: 'a' })
    await byName(postgres(), { origin: 'one.org', mediaId: 'a' })
    expect(built).toBe(3)
    await byName(db, { origin: 'one.org', mediaId: 'a' })
    expect(built).toBe(3)
  })

  test('keeps values of its own apart from what it is asked for', async () => {
    const first = compiled((on, { origin }: { origin: string }) =>
      on
        .selectFrom('pending_media')
        .select('uploader')
        .where('origin', '=', origin)
        .where('expires_at', '>', 0)
        .orderBy('media_id')
        .limit(1),
    )
    const db = sqlite()
    expect(await first(db, { origin: 'one.org' })).toEqual([{ uploader: 'alice' }])
    expect(await first(db, { origin: 'two.org' })).toEqual([{ uploader: 'bob' }])
  })

  test('binds one argument wherever it stands, and several of one name', async () => {
    const twice = compiled((on, { text }: { text: string }) =>
      on
        .selectFrom('pending_media')
        .select('uploader')
        .where((is) => is.or([is('origin', '=', text), is('uploader', '=', text)])),
    )
    expect(await twice(sqlite(), { text: 'bob' })).toEqual([{ uploader: 'bob' }])
  })

  test('gives null and numbers as they are', async () => {
    const db = sqlite()
    const insert = compiled((on, row: { mediaId: string; at: number | null }) =>
      on.updateTable('media').set({ accessed_at: row.at }).where('media_id', '=', row.mediaId).returning('accessed_at'),
    )
    expect(await insert(db, { mediaId: 'm', at: 5 })).toEqual([{ accessed_at: 5 }])
    expect(await insert(db, { mediaId: 'm', at: null })).toEqual([{ accessed_at: null }])
  })
})

describe('Where the engines differ', () => {
  test('rows are locked on PostgreSQL, and left alone on SQLite, which has one writer', () => {
    expect(isPostgres(postgres())).toBe(true)
    expect(isPostgres(sqlite())).toBe(false)
    expect(lockRows(postgres(), rows(postgres())).compile().sql).toMatch(/ for update$/)
    expect(lockFreeRows(postgres(), rows(postgres())).compile().sql).toMatch(/ for update skip locked$/)
    expect(lockRows(sqlite(), rows(sqlite())).compile().sql).not.toContain('for update')
    expect(lockFreeRows(sqlite(), rows(sqlite())).compile().sql).not.toContain('for update')
  })
})

test('Every write unit is known to the thread that writes, by a name of its own', () => {
  expect([...units.keys()].toSorted()).toEqual([
    'addArchiveImport',
    'addExport',
    'addReports',
    'addTask',
    'addUploadedPart',
    'beginDeed',
    'beginTakeOver',
    'cancelTask',
    'closeArchiveImport',
    'closeReports',
    'commitDescription',
    'commitFetched',
    'commitImported',
    'commitJudgedFetched',
    'commitJudgedMedia',
    'commitMedia',
    'commitPreview',
    'commitThumbnail',
    'deleteExport',
    'deleteLater',
    'deleteMedia',
    'deleteNames',
    'endArchiveImport',
    'endDeed',
    'endMmrPass',
    'endTask',
    'expireThumbnail',
    'finishExport',
    'foldUsage',
    'forgetDeeds',
    'forgetMmrNames',
    'forgetMmrProblems',
    'forgetProblems',
    'forgetUnused',
    'freeMmrPlaces',
    'keepExportPart',
    'keepMmrPlaces',
    'leaveMmrPlaces',
    'markDamaged',
    'markIntact',
    'markLost',
    'moveObject',
    'noteForeignPlaces',
    'noteMmrProblems',
    'noteProgress',
    'noteRun',
    'ping',
    'purgePreviews',
    'quarantineContent',
    'quarantineNames',
    'releaseContent',
    'releaseLease',
    'releaseNames',
    'removeMmrGone',
    'renewLease',
    'repositoryId',
    'reserve',
    'retryTask',
    'saveProgress',
    'setMmrFinished',
    'setProtection',
    'sweepFailedPreviews',
    'sweepLeases',
    'sweepRecentUploads',
    'sweepReservations',
    'sweepTasks',
    'sweepTombstones',
    'takeLease',
    'takeOverMedia',
    'takeOverReservations',
    'takeOverThumbnails',
    'takeOverTombstones',
    'touchMedia',
    'touchPreviews',
    'touchThumbnails',
    'tryWriting',
    'useMmrPlace',
  ])
})

function sqlite(): Queryable {
  const database = new DatabaseSync(':memory:')
  database.exec(`
    CREATE TABLE pending_media (origin TEXT, media_id TEXT, uploader TEXT, created_at BIGINT, expires_at BIGINT);
    INSERT INTO pending_media VALUES ('one.org', 'a', 'alice', 1, 10), ('two.org', 'a', 'bob', 2, 20);
    CREATE TABLE media (media_id TEXT, accessed_at BIGINT);
    INSERT INTO media VALUES ('m', 1);`)
  return kyselyOn(database)
}

/** Compiles for PostgreSQL and runs nothing. */
function postgres(): Queryable {
  return new Kysely<Schema>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}

function rows(db: Queryable) {
  return db.selectFrom('media').select('media_id')
}
