/** The audit log: what administrators do stands in it, for the API and for the command line. */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/db/connect.ts'
import { beginDeed } from '../../src/db/audit.ts'
import { auditJob } from '../../src/tasks/jobs.ts'
import { audited } from '../../src/media/audit.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { ALICE, type Answered, BOB, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { recordingLog } from '../support/log.ts'
import { startProgram } from '../support/processes.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
const ADMIN = { token: 'syt_admin_Kd8s', userId: '@admin:example.org' }
const SECRET = 'shared_secret_Pv4c'
const DAY_MS = 24 * 3_600_000

/** Two places, so that something can be moved. */
const configOf = (folder: string) => ({
  admins: [ADMIN.userId],
  sharedSecretAuth: { enabled: true, token: SECRET },
  repo: { dataPath: join(folder, 'data') },
  datastores: ['old', 'new'].map((id) => ({
    type: 'file',
    id,
    forKinds: id === 'old' ? ['all'] : [],
    opts: { path: join(folder, id) },
  })),
})

interface Entry {
  readonly id: number
  readonly action: string
  readonly user_id: string
  readonly [member: string]: unknown
}

const ask = (app: TestApp, method: string, path: string, token = ADMIN.token): Promise<Answered> =>
  app.ask(`/_matrix/media/unstable/${path}`, { method, token })

async function entries(app: TestApp, query = ''): Promise<readonly Entry[]> {
  const { status, json } = await ask(app, 'GET', `admin/audit${query}`)
  expect(status).toBe(200)
  return json['entries'] as Entry[]
}

describe('The audit log', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let app: TestApp
  beforeAll(async () => {
    folder = await temporaryFolder()
    app = await startApp({ folder: folder.path, config: configOf(folder.path) })
    app.homeserver.addUser(ADMIN)
  })
  afterAll(async () => {
    await app[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  test('tells of each change who made it, what it was about, when, from where, and how many it was', async () => {
    const bytes = randomBytes(50)
    const media = await app.upload(bytes)
    await app.upload(bytes, { token: BOB.token })
    const before = Date.now()
    await ask(app, 'POST', `admin/quarantine/${media}`)
    await ask(app, 'DELETE', `admin/quarantine/${media}`, SECRET)
    const headers = { 'x-request-id': 'mine-1', 'x-forwarded-for': '192.0.2.99' }
    const path = `/_matrix/media/unstable/download/${media}`
    await app.ask(path, { method: 'DELETE', token: ALICE.token, headers })
    const about = { subject: `mxc://${media}`, outcome: 'done', error: '', details: {} }
    const found = await entries(app, `?subject=${encodeURIComponent(`mxc://${media}`)}`)
    expect(found).toMatchObject([
      {
        ...about,
        action: 'purge_individual_media',
        user_id: ALICE.userId,
        affected: 1,
        request_id: 'mine-1',
        address: '192.0.2.99',
      },
      { ...about, action: 'release_media', user_id: '@sharedsecret', affected: 2, address: '127.0.0.1' },
      { ...about, action: 'quarantine_media', user_id: ADMIN.userId, affected: 2 },
    ])
    for (const { began_ts, ended_ts } of found) {
      expect(began_ts).toBeGreaterThanOrEqual(before)
      expect(ended_ts).toBeLessThanOrEqual(Date.now())
    }
    const [, ...older] = found
    for (const { request_id } of older) expect(app.log()).toContain(`"requestId":"${String(request_id)}"`)
  })

  test('tells of transfers, and of tasks that are cancelled', async () => {
    const { json } = await ask(app, 'POST', 'admin/datastores/old/transfer_to/new')
    const [begun] = await entries(app, '?limit=1')
    expect(begun).toMatchObject({ action: 'datastore_transfer', subject: 'old', affected: null })
    expect(begun).toMatchObject({ details: { target: 'new', before: null, task: json['task_id'] } })
    app.sql(`UPDATE tasks SET ended_at = NULL WHERE id = ${Number(json['task_id'])}`)
    await ask(app, 'DELETE', `admin/tasks/${Number(json['task_id'])}`)
    expect(await entries(app, '?limit=1')).toMatchObject([
      { action: 'cancel_background_task', subject: String(json['task_id']), affected: 1 },
    ])
  })

  test('tells of previews that were removed', async () => {
    await ask(app, 'DELETE', 'admin/previews?host=news.example&before_ts=5')
    expect(await entries(app, '?limit=1')).toMatchObject([
      {
        action: 'purge_previews',
        subject: 'news.example',
        details: { url: null, host: 'news.example', before_ts: 5 },
        affected: 0,
        outcome: 'done',
      },
    ])
  })

  test('has nothing of what was only read, refused or not there; refusals are in the log', async () => {
    const media = await app.upload(randomBytes(50))
    const [last] = await entries(app, '?limit=1')
    await ask(app, 'GET', 'admin/datastores')
    const refused = await ask(app, 'POST', `admin/quarantine/${media}?access_token=x`, BOB.token)
    expect(refused.status).toBe(403)
    expect((await ask(app, 'GET', 'admin/audit', BOB.token)).status).toBe(403)
    await ask(app, 'POST', 'admin/purge/example.org/nothing')
    expect(await entries(app, '?limit=1')).toEqual([last])
    const line = app
      .log()
      .split('\n')
      .find((one) => one.includes('refused what only administrators may do'))
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      by: BOB.userId,
      address: '127.0.0.1',
      action: 'quarantine_media',
      path: `/_matrix/media/unstable/admin/quarantine/${media}`,
    })
  })

  test('is read page by page, and by user, action and time', async () => {
    for (let time = 0; time < 5; time++)
      await ask(app, 'DELETE', `admin/quarantine/${await app.upload(randomBytes(9))}`, SECRET)
    const all = await entries(app, '?limit=1000')
    const pages: Entry[] = []
    for (let from = ''; ;) {
      const { json } = await ask(app, 'GET', `admin/audit?limit=2${from}`)
      pages.push(...(json['entries'] as Entry[]))
      if (json['next_token'] === undefined) break
      from = `&from=${Number(json['next_token'])}`
    }
    expect(pages).toEqual(all)
    const ids = async (query: string) => (await entries(app, query)).map(({ id }) => id)
    const idsOf = (which: (entry: Entry) => boolean) => all.filter(which).map(({ id }) => id)
    expect(await ids('?user_id=@sharedsecret')).toEqual(idsOf((entry) => entry.user_id === '@sharedsecret'))
    expect(await ids('?action=release_media')).toEqual(idsOf((entry) => entry.action === 'release_media'))
    const middle = Number(all[2]?.['began_ts'])
    expect(await ids(`?from_ts=${middle}`)).toEqual(idsOf((entry) => Number(entry['began_ts']) >= middle))
    expect(await ids(`?until_ts=${middle}`)).toEqual(idsOf((entry) => Number(entry['began_ts']) < middle))
    const bad = await ask(app, 'GET', 'admin/audit?limit=0')
    expect(bad).toMatchObject({
      status: 400,
      json: { errcode: 'M_INVALID_PARAM', error: expect.stringContaining('limit') },
    })
  })
})

test('cellarium audit shows the log beside a running server and without one, for people and for programs', async () => {
  await using folder = await temporaryFolder()
  await using app = await startApp({ folder: folder.path, config: configOf(folder.path) })
  app.homeserver.addUser(ADMIN)
  const media = await app.upload(randomBytes(50))
  await ask(app, 'POST', `admin/quarantine/${media}`)
  await ask(app, 'DELETE', `admin/quarantine/${media}`, SECRET)
  const transfer = await run(folder.path, 'datastores', 'transfer', 'old', 'new')
  expect(transfer.code, transfer.text).toBe(0)

  const people = await run(folder.path, 'audit')
  expect(people.code).toBe(0)
  const cells = people.text.split('\n').map((line) => line.split('  ').slice(1, 6))
  expect(cells).toEqual([
    [expect.stringMatching(/^cli:\S+$/), 'datastore_transfer', 'old', '-', '-'],
    ['@sharedsecret', 'release_media', `mxc://${media}`, '1', '127.0.0.1'],
    [ADMIN.userId, 'quarantine_media', `mxc://${media}`, '1', '127.0.0.1'],
  ])
  await app[Symbol.asyncDispose]()
  const programs = await run(folder.path, 'audit', '--json', '--since', '1d', '--by', ADMIN.userId, '--limit', '0')
  expect(JSON.parse(programs.text)).toMatchObject({ by: ADMIN.userId, action: 'quarantine_media', outcome: 'done' })
  expect((await run(folder.path, 'audit', '--until', '1d')).text).toBe('')
  const repaired = await run(folder.path, 'datastores', 'check', '--repair')
  expect(repaired.code, repaired.text).toBe(0)
  const repairs = await run(folder.path, 'audit', '--action', 'datastore_repair')
  expect(repairs.text.split('\n').map((line) => line.split('  ').slice(2, 5))).toEqual(
    ['new', 'old'].map((id) => ['datastore_repair', id, '0']),
  )
  const wrong = await run(folder.path, 'audit', '--since', 'yesterday')
  expect([wrong.code, wrong.text]).toEqual([1, expect.stringContaining('--since yesterday: give a date')])
}, 120_000)

async function run(folder: string, ...args: string[]) {
  const command = [process.execPath, CELLARIUM, ...args, '-c', join(folder, 'config')]
  await using program = await startProgram({ command, folder })
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

async function openParts(path: string) {
  await mkdir(path, { recursive: true })
  const { log, lines } = recordingLog()
  const pool = { maxConnections: 1, maxIdleConnections: 1 }
  const db = await openDatabase({ sqlite: join(path, 'db.sqlite'), postgres: '', pool }, 'server', log)
  const metrics = openMetrics({ version: '1' })
  return { db, lines, events: { log, metrics }, clock: { now: () => 400 * DAY_MS } }
}

const ACTOR = { by: '@admin:example.org', address: '192.0.2.7', requestId: 'r1' }
const WHAT = { action: 'purge_old', subject: 'example.org', details: { before: 5 } }

test('Lines older than audit.keepDays are deleted, and none where that is 0', async () => {
  await using folder = await temporaryFolder()
  const { db, clock } = await openParts(folder.path)
  await using _ = db
  for (const day of [0, 34, 36, 399]) await db.write(beginDeed, { ...ACTOR, ...WHAT, at: day * DAY_MS })
  const days = async (keepDays: number) => {
    const signal = new AbortController().signal
    await auditJob({ db, clock }, () => keepDays).run({ lease: { name: 'x', token: 'y' }, signal, last: undefined })
    const rows = await db.read.selectFrom('audit').select('began_at').orderBy('id').execute()
    return rows.map((row) => row.began_at / DAY_MS)
  }
  expect(await days(0)).toEqual([0, 34, 36, 399])
  expect(await days(365)).toEqual([36, 399])
})

test('Long work has its line from the beginning on, and its end, also a bad one, afterwards', async () => {
  await using folder = await temporaryFolder()
  const parts = await openParts(folder.path)
  await using _ = parts.db
  const rows = () => parts.db.read.selectFrom('audit').selectAll().orderBy('id').execute()
  const done = await audited(parts, ACTOR, WHAT, async () => {
    expect(await rows()).toMatchObject([
      { action: 'purge_old', ended_at: null, actor: ACTOR.by, details: '{"before":5}' },
    ])
    return { affected: 7, more: 'text' }
  })
  expect(done).toEqual({ affected: 7, more: 'text' })
  const failing = audited(parts, ACTOR, WHAT, async () => {
    throw new Error('the disk is full')
  })
  await expect(failing).rejects.toThrow('the disk is full')
  const ended_at = parts.clock.now()
  expect(await rows()).toMatchObject([
    { ended_at, affected: 7, error: '' },
    { ended_at, affected: null, error: 'the disk is full' },
  ])
  expect(parts.lines.filter(({ msg }) => msg === 'audit')).toMatchObject([
    { affected: 7 },
    { error: 'the disk is full' },
  ])
})
