import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const SECRET = 'shared-secret'
const MEDIA = 4000
const LONG_AGO = Date.parse('2020-01-01T00:00:00Z')

/** As fetched long ago, 1000 bytes each. */
const FETCHED = `
  INSERT INTO cellarium.objects (sha256, size, datastore, location, created_at)
    SELECT 'hash' || n, 1000, 'media', 'place' || n, ${LONG_AGO} FROM generate_series(1, ${MEDIA}) AS n;
  INSERT INTO cellarium.media (origin, media_id, sha256, kind, content_type, created_at, accessed_at)
    SELECT 'remote.example', 'm' || n, 'hash' || n, 'remote', 'image/png', ${LONG_AGO} + n, ${LONG_AGO} + n
    FROM generate_series(1, ${MEDIA}) AS n;
  INSERT INTO cellarium.usage_totals (subject, bytes, files) VALUES ('remote', ${MEDIA * 1000}, ${MEDIA});
  DELETE FROM cellarium.jobs`

describeWith('postgres', 'Retention with two servers on one database', () => {
  test('goes on at the other when the one that is at it is killed, and counts everything once', async () => {
    await using cleanup = new AsyncDisposableStack()
    const folder = cleanup.use(await temporaryFolder()).path
    const { url } = cleanup.use(await freshDatabase())
    const start = (name: string, expireAfterDays: number) =>
      startServer({
        folder: join(folder, name),
        config: {
          homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
          sharedSecretAuth: { enabled: true, token: SECRET },
          database: { postgres: url },
          datastores: [{ type: 'file', id: 'media', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
          downloads: { expireAfterDays },
        },
      })
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    cleanup.defer(() => client.end())
    const count = async (what: string) => Number((await client.query(`SELECT ${what} AS n`)).rows[0]?.n)
    const left = () => count('(SELECT count(*) FROM cellarium.media)')
    {
      // Makes the tables.
      await using _ = await start('first', 0)
    }
    await client.query(FETCHED)
    // No server begins with an empty folder where there should be so much.
    await mkdir(join(folder, 'media', 'other'))
    await writeFile(join(folder, 'media', 'other', 'file'), '')

    const killed = cleanup.use(await start('killed', 30))
    await eventually(async () => (await left()) < MEDIA, 60_000)
    killed.signal('SIGSTOP')
    const atStop = await left()
    expect(atStop, 'it is in the middle of it').toBeGreaterThan(0)
    const other = cleanup.use(await start('other', 30))
    expect(await left(), 'the other has not begun: the lease is held').toBe(atStop)
    await killed.stop('SIGKILL')
    await eventually(async () => (await left()) === 0, 120_000)

    const jobs = async () => {
      const headers = { authorization: `Bearer ${SECRET}`, 'x-forwarded-host': 'example.org' }
      const answer = await fetch(`${other.url}/_matrix/media/unstable/admin/jobs`, { headers })
      return (await answer.json()) as { readonly name: string; readonly ended_ts: number | null }[]
    }
    const expiry = async () => (await jobs()).find(({ name }) => name === 'remote expiry')
    await eventually(async () => (await expiry())?.ended_ts, 60_000)
    expect(await expiry()).toMatchObject({
      error: '',
      is_complete: true,
      is_running: false,
      report: { removed: atStop },
    })
    expect(await count('(SELECT count(*) FROM cellarium.objects)')).toBe(0)
    expect(await count('(SELECT count(*) FROM cellarium.unused_objects)')).toBe(MEDIA)
    for (const what of ['files', 'bytes']) {
      const rows = ['totals', 'changes'].map((table) => `SELECT subject, ${what} FROM cellarium.usage_${table}`)
      expect(await count(`(SELECT sum(${what}) FROM (${rows.join(' UNION ALL ')}) u WHERE subject = 'remote')`)).toBe(0)
    }
  }, 300_000)
})
