import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'content-disposition'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import {
  configOf,
  type Expected,
  expectedOfMmr,
  filesOfMmr,
  type MmrPlace,
  mmrOfFixture,
  tablesOfMmr,
  untilCopied,
} from '../support/mmr.ts'
import { mediaClient } from '../support/media-client.ts'
import { type Server, startServer } from '../support/server.ts'
import { describeWith } from '../support/services.ts'

const ADMIN = { token: 'token-of-admin', userId: '@admin:localhost' }

describeWith('postgres', 'A server on the database of matrix-media-repo', () => {
  let mmr: MmrPlace
  let expected: Expected
  let homeserver: HomeserverDouble
  let server: Server
  let before: unknown
  const cleanup = new AsyncDisposableStack()
  beforeAll(async () => {
    mmr = cleanup.use(await mmrOfFixture())
    expected = await expectedOfMmr()
    homeserver = cleanup.use(await startHomeserver({ serverName: 'localhost' }))
    homeserver.addUser(ADMIN)
    before = await contentsOf(mmr)
    server = cleanup.use(await start(mmr, homeserver))
    await untilCopied(mmr)
  }, 120_000)
  afterAll(() => cleanup.disposeAsync())

  test('serves each of its media as it has them', async () => {
    for (const media of expected.media.filter(({ kind }) => kind !== 'thumbnail_copy')) {
      const name = media.mxc.slice('mxc://'.length)
      const legacy = await fetch(`${server.url}/_matrix/media/v3/download/${name}?allow_remote=false`, host())
      const answer = await fetch(`${server.url}/_matrix/client/v1/media/download/${name}`, host(ADMIN.token))
      const body = Buffer.from(await answer.arrayBuffer())
      if (media.quarantined) {
        expect([answer.status, legacy.status], media.mxc).toEqual([404, 404])
        continue
      }
      expect(answer.status, media.mxc).toBe(200)
      expect(sha256(body), media.mxc).toBe(media.sha256)
      expect(legacy.status, media.mxc).toBe(media.requires_auth ? 404 : 200)
      const type = answer.headers.get('content-type') ?? ''
      expect(type.startsWith(media.content_type) || type.startsWith('application/octet-stream'), type).toBe(true)
      const disposition = answer.headers.get('content-disposition') ?? ''
      if (media.upload_name === null) expect(disposition).not.toContain('filename')
      else expect(nameIn(disposition), media.mxc).toBe(media.upload_name)
    }
  })

  test('has each record with its times, uploader, freeze, pin and quarantine, and none of its copies of thumbnails', async () => {
    const rows = await mmr.query('SELECT * FROM cellarium.media')
    const used = new Map(expected.last_access.map((row) => [row.sha256_hash, row.last_access_ts]))
    const wanted = expected.media.filter(({ kind }) => kind !== 'thumbnail_copy')
    const known = rows.map((row) => ({
      mxc: `mxc://${String(row['origin'])}/${String(row['media_id'])}`,
      sha256: row['sha256'],
      kind: row['kind'],
      uploader: row['uploader'],
      created: Number(row['created_at']),
      accessed: Number(row['accessed_at']),
      restricted: row['authenticated_at'] !== null,
      quarantined: row['quarantined_at'] !== null,
      pinned: row['protected_at'] !== null,
      name: row['upload_name'],
    }))
    expect(known.toSorted(byMxc)).toEqual(
      wanted
        .map((media) => ({
          mxc: media.mxc,
          sha256: media.sha256,
          kind: media.kind === 'upload' ? 'upload' : 'preview',
          uploader: media.kind === 'upload' ? media.user : null,
          created: media.created_ts,
          // Reading them, in other tests, is noted later.
          accessed: used.get(media.sha256) ?? media.created_ts,
          restricted: media.requires_auth,
          quarantined: media.quarantined,
          pinned: media.pinned,
          name: media.upload_name,
        }))
        .toSorted(byMxc),
    )
  })

  test('keeps ids that were deleted or reserved', async () => {
    expect(new Set(await namesIn(mmr, 'deleted_media'))).toEqual(new Set(expected.tombstones.map(({ mxc }) => mxc)))
    // The other one's time was over.
    const open = expected.pending.filter(({ expires_ts: until }) => until > Date.now())
    expect(await namesIn(mmr, 'pending_media')).toEqual(open.map(({ mxc }) => mxc))
  })

  test('counts what each user and the datastore has', async () => {
    const totals = await mmr.query(`
      SELECT subject, sum(bytes)::int AS bytes, sum(files)::int AS files
      FROM (SELECT * FROM cellarium.usage_totals UNION ALL SELECT subject, bytes, files FROM cellarium.usage_changes) AS usage
      WHERE subject LIKE 'user:%' OR subject LIKE 'datastore:%' OR subject LIKE 'server:%' GROUP BY subject`)
    const uploads = expected.media.filter(({ kind }) => kind === 'upload')
    const users = [...Map.groupBy(uploads, ({ user }) => `user:${String(user)}`)].map(([subject, of]) => ({
      subject,
      bytes: of.reduce((sum, { size }) => sum + size, 0),
      files: of.length,
    }))
    expect(totals.filter(({ subject }) => String(subject).startsWith('user:')).toSorted(bySubject)).toEqual(
      users.toSorted(bySubject),
    )
    const [stored] = await mmr.query('SELECT sum(size)::int AS bytes, count(*)::int AS files FROM cellarium.objects')
    expect(totals).toContainEqual({ subject: 'datastore:main', ...stored })
    const days = await mmr.query(
      'SELECT sum(bytes)::int AS bytes, sum(files)::int AS files FROM cellarium.uploader_days WHERE day = -1',
    )
    const all = { bytes: uploads.reduce((sum, { size }) => sum + size, 0), files: uploads.length }
    expect(days).toEqual([all])
  })

  test('uses its thumbnails', async () => {
    const [row] = await mmr.query(`
      SELECT origin || '/' || media_id AS name, sha256_hash AS hash FROM public.thumbnails WHERE width = 96 AND content_type = 'image/jpeg'`)
    const answer = await fetch(
      `${server.url}/_matrix/client/v1/media/thumbnail/${String(row?.['name'])}?width=96&height=96&method=crop&animated=false`,
      host(ADMIN.token),
    )
    expect(sha256(Buffer.from(await answer.arrayBuffer()))).toBe(row?.['hash'])
  })

  test('refuses what it had quarantined', async () => {
    const [blocked] = await mmr.query(`
      SELECT location FROM cellarium.objects JOIN cellarium.media USING (sha256) WHERE quarantined_at IS NOT NULL LIMIT 1`)
    const bytes = await readFile(join(mmr.media, String(blocked?.['location'])))
    const client = mediaClient(server, ADMIN.token, 'localhost')
    expect((await client.upload(bytes)).status).toBe(403)
  })

  test('leaves its tables and its files as they were', async () => {
    expect(await contentsOf(mmr)).toEqual(before)
  })
})

async function start(mmr: MmrPlace, homeserver: HomeserverDouble): Promise<Server> {
  return await startServer({ config: { ...configOf(mmr, homeserver.url), repo: { useForwardedHost: true } } })
}

async function contentsOf(mmr: MmrPlace): Promise<unknown> {
  return { rows: await tablesOfMmr(mmr), files: await filesOfMmr(mmr) }
}

const host = (token?: string) => ({
  headers: { 'x-forwarded-host': 'localhost', ...(token ? { authorization: `Bearer ${token}` } : {}) },
})
async function namesIn({ query }: MmrPlace, table: string): Promise<unknown[]> {
  const rows = await query(`SELECT 'mxc://' || origin || '/' || media_id AS mxc FROM cellarium.${table}`)
  return rows.map(({ mxc }) => mxc)
}

const nameIn = (disposition: string) => parse(disposition).parameters['filename']
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const byMxc = (a: { mxc: string }, b: { mxc: string }) => (a.mxc < b.mxc ? -1 : 1)
const bySubject = (a: { subject?: unknown }, b: { subject?: unknown }) =>
  String(a.subject) < String(b.subject) ? -1 : 1
