/** Databases of other programs, and what becomes of them under us. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseDsn } from '../../src/db/dsn.ts'
import { numberOrNull, openForeignDatabase } from '../../src/interop/foreign-database.ts'
import { DatabaseUnavailable } from '../../src/lib/errors.ts'
import { temporaryFolder } from '../support/folder.ts'
import { openHomeserverDatabase } from '../support/homeserver-database.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const failure = async (work: Promise<unknown>) =>
  await work.then(
    () => undefined,
    (error: unknown) => error,
  )

test('a number that is too large for JavaScript ends nothing', async () => {
  await using folder = await temporaryFolder()
  const sqlite = join(folder.path, 'homeserver.db')
  await using made = await openHomeserverDatabase({ path: sqlite })
  await made.execute(
    'CREATE TABLE media (id TEXT, created BIGINT); INSERT INTO media VALUES (1, 9223372036854775807), (2, 5)',
  )
  await using db = await openForeignDatabase({ sqlite })
  const rows = await db.query('SELECT * FROM media ORDER BY id')
  expect(rows).toEqual([
    { id: '1', created: '9223372036854775807' },
    { id: '2', created: 5 },
  ])
  expect(rows.map((row) => numberOrNull(row, 'created'))).toEqual([null, 5])
})

test('a file that is no database is told by its name', async () => {
  await using folder = await temporaryFolder()
  const sqlite = join(folder.path, 'homeserver.yaml')
  await writeFile(sqlite, 'server_name: example.org\n'.repeat(100))
  expect(await failure(openForeignDatabase({ sqlite }))).toEqual(
    new Error(`the database ${sqlite} cannot be opened: file is not a database`),
  )
})

describeWith('postgres', 'A server of PostgreSQL', () => {
  test('that ends the connection is told by its name, and no defect', async () => {
    await using database = await freshDatabase()
    await using db = await openForeignDatabase({ postgres: parseDsn(database.url) })
    await using other = await openHomeserverDatabase({ url: database.url })
    await other.execute(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'cellarium import%'`,
    )
    const lost = await failure(db.query('SELECT 1'))
    expect(lost).toBeInstanceOf(DatabaseUnavailable)
    expect(lost).toMatchObject({
      message: expect.stringMatching(/^the database \S+ at \S+ .* cannot be used any more/),
    })
    // What a statement does wrong is told as it is.
    await using third = await openForeignDatabase({ postgres: parseDsn(database.url) })
    expect(await failure(third.query('SELECT nothing FROM nowhere'))).not.toBeInstanceOf(DatabaseUnavailable)
  })
})
