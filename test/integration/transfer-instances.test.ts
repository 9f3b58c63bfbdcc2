import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

const SECRET = 'shared-secret'
const OBJECTS = 400
const headers = { authorization: `Bearer ${SECRET}`, 'x-forwarded-host': 'example.org' }
const working = (server: Server) => server.lines.some((line) => line.includes('working on a task'))
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function uploadMany(server: Server): Promise<Map<string, string>> {
  const client = mediaClient(server, SECRET)
  const uploaded = new Map<string, string>()
  const work = async () => {
    while (uploaded.size < OBJECTS) {
      const bytes = randomBytes(20_000)
      const { media } = await client.upload(bytes)
      uploaded.set(media, sha256(bytes))
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
  return uploaded
}

describeWith('postgres', 'A transfer with two servers on one database', () => {
  test('goes on at the other when the one that works on it is killed, and nothing is lost or moved twice', async () => {
    await using cleanup = new AsyncDisposableStack()
    const folder = cleanup.use(await temporaryFolder()).path
    const { url } = cleanup.use(await freshDatabase())
    const store = (id: string, forKinds: string[]) => ({ type: 'file', id, forKinds, opts: { path: join(folder, id) } })
    const config = {
      homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
      sharedSecretAuth: { enabled: true, token: SECRET },
      database: { postgres: url },
      datastores: [store('old', ['all']), store('new', [])],
      uploads: { minBytes: 0 },
    }
    const servers = await Promise.all(['a', 'b'].map((name) => startServer({ folder: join(folder, name), config })))
    const [a, b] = servers.map((server) => cleanup.use(server))
    if (!a || !b) throw new Error('two servers were started')
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    cleanup.defer(() => client.end())
    const query = async (statement: string) => (await client.query<Record<string, unknown>>(statement)).rows

    const uploaded = await uploadMany(a)
    const begun = await fetch(`${a.url}/_matrix/media/unstable/admin/datastores/old/transfer_to/new`, {
      method: 'POST',
      headers,
    })
    expect(await begun.json()).toMatchObject({ task_id: 1, total_hashes_affected: uploaded.size })
    const moved = async () =>
      Number((await query(`SELECT progress::json->>'moved' AS moved FROM cellarium.tasks`))[0]?.['moved'])
    await eventually(async () => (await moved()) >= 20, 60_000)
    const [killed, other] = working(a) ? [a, b] : [b, a]
    expect(working(other)).toBe(false)
    await killed.stop('SIGKILL')
    const atKill = await moved()
    expect(atKill).toBeLessThan(uploaded.size)

    // Meanwhile the other serves everything, moved or not, and takes uploads.
    const names = [...uploaded]
    for (const [media, hash] of names.slice(0, 50)) {
      const { status, body } = await mediaClient(other, SECRET).download(media)
      expect([status, sha256(body)]).toEqual([200, hash])
    }
    const finished = async () =>
      (await query('SELECT ended_at, error FROM cellarium.tasks WHERE ended_at IS NOT NULL'))[0]
    while (!(await finished())) await pause(200)
    expect(working(other)).toBe(true)
    expect((await finished())?.['error']).toBe('')
    expect(await moved()).toBe(uploaded.size)
    expect(await query('SELECT datastore, count(*)::int FROM cellarium.objects GROUP BY 1')).toEqual([
      { datastore: 'new', count: uploaded.size },
    ])
    for (const [media, hash] of names) {
      const { status, body } = await mediaClient(other, SECRET).download(media)
      expect([status, sha256(body)]).toEqual([200, hash])
    }
    const usage = `SELECT subject, sum(files)::int AS files, sum(bytes)::int AS bytes FROM (
      SELECT subject, files, bytes FROM cellarium.usage_totals UNION ALL
      SELECT subject, files, bytes FROM cellarium.usage_changes) AS used
      WHERE subject LIKE 'datastore:%' GROUP BY 1 ORDER BY 1`
    expect(await query(usage)).toEqual([
      { subject: 'datastore:new', files: uploaded.size, bytes: uploaded.size * 20_000 },
      { subject: 'datastore:old', files: 0, bytes: 0 },
    ])
    // What the killed one had moved is handed over too.
    expect(await query("SELECT count(*)::int FROM cellarium.unused_objects WHERE datastore = 'old'")).toEqual([
      { count: uploaded.size },
    ])
  }, 180_000)
})
