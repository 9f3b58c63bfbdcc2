import { sql } from '#kysely'
import pg from 'pg'
import { expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../src/db/connect.ts'
import { commitMedia } from '../../src/db/media.ts'
import type { PostgresWaits } from '../../src/db/postgres.ts'
import { type Queryable, unit } from '../../src/db/query.ts'
import { DatabaseUnavailable } from '../../src/lib/errors.ts'
import { recordingLog } from '../support/log.ts'
import { describeWith, freshDatabase } from '../support/services.ts'
import { media } from './database/support.ts'

interface Opened extends AsyncDisposable {
  readonly db: Database
  /** Somebody else in the same database. */
  readonly other: pg.Client
  readonly heard: unknown[]
}

async function open(waits: Partial<PostgresWaits> = {}, maxConnections = 5): Promise<Opened> {
  await using cleanup = new AsyncDisposableStack()
  const { url } = cleanup.use(await freshDatabase())
  const heard: unknown[] = []
  const options = { postgres: url, sqlite: '', pool: { maxConnections, maxIdleConnections: 1 } }
  const onAvailability = (problem: unknown) => void heard.push(problem)
  const db = cleanup.use(await openDatabase(options, 'server', recordingLog().log, { waits, onAvailability }))
  const other = new pg.Client({ connectionString: url })
  other.on('error', () => {})
  await other.connect()
  cleanup.defer(() => other.end())
  const owned = cleanup.move()
  return { db, other, heard, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const failure = async (work: Promise<unknown>) =>
  await work.then(
    () => undefined,
    (error: unknown) => error,
  )

/** The connection on which this is asked ends the first time. */
const DIES_ONCE = sql`select pg_sleep(0.3) from (
  select case when nextval('calls') = 1 then pg_terminate_backend(pg_backend_pid()) end) as called`

const counted = async ({ other }: Opened) =>
  Number((await other.query('select last_value from calls')).rows[0].last_value)

describeWith('postgres', 'PostgreSQL that', () => {
  test.each([
    ['off', 'local'],
    ['remote_write', 'remote_write'],
  ])('is told synchronous_commit = %s commits ours with %s: what was answered must be on disk', async (set, used) => {
    await using opened = await open()
    await opened.other.query(
      `do $$ begin execute format('alter database %I set synchronous_commit = ${set}', current_database()); end $$`,
    )
    await opened.other.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()',
    )
    const setting = unit(
      'setting',
      async (tx) =>
        (await sql<{ value: string }>`select current_setting('synchronous_commit') as value`.execute(tx)).rows[0]
          ?.value,
    )
    await vi.waitFor(async () => expect(await opened.db.write(setting, undefined)).toBe(used), 10_000)
  })

  test('ends a connection under a read gets it again on another, and nobody has to know', async () => {
    await using opened = await open()
    await opened.other.query('create sequence calls')
    expect((await DIES_ONCE.execute(opened.db.read)).rows).toHaveLength(1)
    expect(await counted(opened)).toBe(2)
    expect(opened.heard).toEqual([])
  })

  test('ends a connection under a write fails it as an outage, because it may have been done', async () => {
    await using opened = await open()
    const { db, heard } = opened
    await opened.other.query('create sequence calls')
    const unit = { unit: 'dies', run: async (tx: Queryable) => void (await DIES_ONCE.execute(tx)) }
    expect(await failure(db.write(unit, undefined))).toMatchObject({
      name: 'DatabaseUnavailable',
      cause: { code: '57P01' },
    })
    expect(await counted(opened)).toBe(1)
    expect(heard).toHaveLength(1)
    await db.ready()
    expect(heard).toEqual([expect.any(Error), undefined])
    expect(await db.write(commitMedia, media())).toMatchObject({ outcome: 'stored' })
  })

  test('does not answer a read in time is given up, and its connection with it', async () => {
    await using opened = await open({ answerMs: 300 }, 1)
    const { db, heard } = opened
    expect(await failure(sql`select pg_sleep(30)`.execute(db.read))).toBeInstanceOf(DatabaseUnavailable)
    expect((await sql`select 1 as one`.execute(db.read)).rows).toEqual([{ one: 1 }])
    expect(heard).toHaveLength(1)
  })

  test('takes too long over a statement of a write breaks it off, and nothing of it stays', async () => {
    await using opened = await open({ statementMs: 300 })
    const { db, heard, other } = opened
    const slow = {
      unit: 'slow',
      run: async (tx: Queryable) => {
        await commitMedia.run(tx, media())
        await sql`select pg_sleep(30)`.execute(tx)
      },
    }
    expect(await failure(db.write(slow, undefined))).toMatchObject({
      name: 'DatabaseUnavailable',
      cause: { code: '57014' },
    })
    expect((await other.query('select 1 from cellarium.objects')).rows).toEqual([])
    // One slow statement says nothing about the others.
    expect(heard).toEqual([])
  })

  test('makes a write wait too long for what another holds breaks it off', async () => {
    await using opened = await open({ lockMs: 300 })
    const { db, other } = opened
    await other.query('begin; lock table cellarium.objects in exclusive mode')
    expect(await failure(db.write(commitMedia, media()))).toMatchObject({
      name: 'DatabaseUnavailable',
      cause: { code: '55P03' },
    })
    await other.query('rollback')
    expect(await db.write(commitMedia, media())).toMatchObject({ outcome: 'stored' })
  })

  test('waits for a write of ours that stands still frees what it locked', async () => {
    await using opened = await open({ idleMs: 300 })
    const { db, other } = opened
    const still = {
      unit: 'still',
      run: async (tx: Queryable) => {
        await sql`lock table cellarium.objects in exclusive mode`.execute(tx)
        await other.query('lock table cellarium.objects in exclusive mode')
        return await commitMedia.run(tx, media())
      },
    }
    await other.query('begin')
    expect(await failure(db.write(still, undefined))).toBeInstanceOf(DatabaseUnavailable)
    await other.query('rollback')
    expect(await db.write(commitMedia, media())).toMatchObject({ outcome: 'stored' })
  })

  test('is a standby still, or may only be read, fails writes until it takes them, on new connections', async () => {
    await using opened = await open()
    const { db, other, heard } = opened
    const { rows } = await other.query('select current_database() as name')
    await other.query(`alter database ${rows[0].name} set default_transaction_read_only = on`)
    await other.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cellarium' and datname = current_database()`,
    )
    await expect
      .poll(() => failure(db.write(commitMedia, media())), { timeout: 30_000 })
      .toMatchObject({ cause: { code: '25006' } })
    expect((await sql`select 1 as one`.execute(db.read)).rows).toEqual([{ one: 1 }])
    expect(await failure(db.ready())).toBeInstanceOf(DatabaseUnavailable)
    await other.query(
      `begin; set local transaction_read_only = off; alter database ${rows[0].name} reset default_transaction_read_only; commit`,
    )
    await db.ready()
    expect(await db.write(commitMedia, media())).toMatchObject({ outcome: 'stored' })
    expect(heard).toEqual([expect.any(Error), undefined])
  })

  test('fails a write for a reason of its own says so as it is: that is a defect, not an outage', async () => {
    await using opened = await open()
    const { db, heard } = opened
    const wrong = { unit: 'wrong', run: async (tx: Queryable) => void (await sql`select nonsense`.execute(tx)) }
    expect(await failure(db.write(wrong, undefined))).toMatchObject({ name: 'error', code: '42703' })
    expect(heard).toEqual([])
  })
})
