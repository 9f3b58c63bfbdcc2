import { execFile } from 'node:child_process'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, BOB, eventually, heldClock, startApp, type TestApp } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org' }
const DAY_MS = 86_400_000
const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))

const cleanup = new AsyncDisposableStack()
const clock = heldClock()
let folder: string
let app: TestApp
beforeAll(async () => {
  folder = cleanup.use(await temporaryFolder()).path
  app = await start([])
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await cleanup.disposeAsync()
})

async function start(local: readonly Record<string, unknown>[]): Promise<TestApp> {
  const started = await startApp({ clock, folder, config: { admins: [ADMIN.userId], retention: { local } } })
  started.homeserver.addUser(ADMIN)
  return started
}

/** Stops and starts the server, with other rules; all jobs are due then. */
async function startAgain(local: readonly Record<string, unknown>[]): Promise<void> {
  await app[Symbol.asyncDispose]()
  {
    using db = new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'))
    db.exec('DELETE FROM jobs')
  }
  app = await start(local)
}

const administer = async (path: string) => {
  const { status, json } = await app.ask(`/_matrix/media/unstable/admin/${path}`, { token: ADMIN.token })
  return { status, json }
}
const download = async (media: string) =>
  (await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: BOB.token })).status
const media: Record<string, string> = {}

test('What would go is shown before any rule is switched on', async () => {
  media['text'] = await app.upload(Buffer.from('a text'))
  media['bobs'] = await app.upload(Buffer.from('a text of Bob'), { token: BOB.token, type: 'text/plain' })
  media['read'] = await app.upload(Buffer.from('a text that is read'))
  media['pinned'] = await app.upload(Buffer.from('a pinned text'))
  app.sql(`UPDATE media SET protected_at = 1 WHERE media_id = ?`, media['pinned']?.split('/')[1] ?? '')
  clock.wait(100 * DAY_MS)
  expect(await download(media['read'] ?? '')).toBe(200)
  expect((await administer('retention/preview')).json).toEqual({
    remote: null,
    local: null,
    thumbnails: null,
    previews: null,
  })
  // That it was read is written down after ten seconds.
  await eventually(async () => {
    const { json } = await administer(
      'retention/preview?older_than_days=90&remote_days=90&preview_days=3&thumbnail_days=3',
    )
    return (json['local'] as { readonly files: number }).files === 2
  }, 30_000)
  const { json } = await administer(
    'retention/preview?older_than_days=90&remote_days=90&preview_days=3&thumbnail_days=3',
  )
  expect(json).toMatchObject({
    remote: { files: 0, is_complete: true },
    local: { files: 2, bytes: 19, by_rule: [{ files: 2, bytes: 19 }], is_complete: true },
    thumbnails: { count: 0, bytes: 0 },
    previews: { count: 0 },
  })
  const mxcs = [media['text'], media['bobs']].map((one) => `mxc://${one}`)
  expect((json['local'] as { readonly examples: string[] }).examples.toSorted()).toEqual(mxcs.toSorted())
  const bobs = await administer('retention/preview?older_than_days=90&user=@bob:*&type=text/*&server=example.org')
  expect(bobs.json).toMatchObject({ local: { files: 1, examples: [`mxc://${media['bobs']}`] } })
  expect(await administer('retention/preview?older_than_days=90&larger_than_bytes=13')).toMatchObject({
    json: { local: { files: 0 } },
  })
  expect(await administer('retention/preview?older_than_days=0')).toMatchObject({
    status: 400,
    json: { errcode: 'M_INVALID_PARAM', error: 'older_than_days must not be less than 1' },
  })
})

test('The rules of retention.local remove what they say, and admin/jobs tells of it', async () => {
  await startAgain([{ olderThanDays: 90, users: ['@alice:*'] }])
  expect((await administer('retention/preview')).json).toMatchObject({ local: { files: 1 } })
  await eventually(() => app.log().includes('media that were not used for long are removed'), 60_000)
  expect(await Promise.all(['text', 'bobs', 'read', 'pinned'].map((name) => download(media[name] ?? '')))).toEqual([
    404, 200, 200, 200,
  ])
  const job = async () => {
    const { json } = await administer('jobs')
    return (json as unknown as { readonly name: string }[]).find(({ name }) => name === 'local retention')
  }
  await eventually(async () => (await job()) !== undefined && 'ended_ts' in ((await job()) ?? {}), 30_000)
  await eventually(async () => ((await job()) as { readonly ended_ts?: number | null }).ended_ts, 30_000)
  expect(await job()).toMatchObject({
    every_ms: 3_600_000,
    error: '',
    is_complete: true,
    report: { removed: 1, bytes: 6, objects: 1 },
  })
})

test('An upload of the same bytes gets another id, and the old one stays gone', async () => {
  const again = await app.upload(Buffer.from('a text'))
  expect(again).not.toBe(media['text'])
  expect(await download(again)).toBe(200)
  expect(await download(media['text'] ?? '')).toBe(404)
  const [server = '', id = ''] = (media['text'] ?? '').split('/')
  const put = await app.ask(`/_matrix/media/v3/upload/${server}/${id}`, {
    method: 'PUT',
    token: ALICE.token,
    body: Buffer.from('a text'),
  })
  expect(put.status).toBeGreaterThanOrEqual(400)
  expect(await download(media['text'] ?? '')).toBe(404)
})

test('Users see none of that', async () => {
  for (const path of ['jobs', 'retention/preview']) {
    const answer = await app.ask(`/_matrix/media/unstable/admin/${path}`, { token: ALICE.token })
    expect(answer).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
  }
})

test('cellarium retention says what a configuration would remove, and a rule without an age is no rule', async () => {
  // By the time of the day, nothing is old.
  const run = promisify(execFile)
  const config = join(folder, 'config')
  const { stdout } = await run(process.execPath, [CELLARIUM, 'retention', '--config', config])
  expect(stdout).toContain('Media of other servers (downloads.expireAfterDays: 0): kept for ever')
  expect(stdout).toContain('Uploads (retention.local: 1 rules): 0 files, 0 bytes')
  expect(stdout).toContain('not used for 90 days, @alice:*: 0 files')
  const json = await run(process.execPath, [CELLARIUM, 'retention', '--json', '--dry-run', '--config', config])
  expect(JSON.parse(json.stdout)).toMatchObject({ local: { files: 0, isComplete: true } })
  await expect(start([{ largerThanBytes: 5 }])).rejects.toThrow('retention.local[0].olderThanDays')
})

test('No number of days is so large that a database cannot count back', async () => {
  for (const name of ['remote_days', 'thumbnail_days', 'preview_days', 'older_than_days']) {
    const ask = (days: number) =>
      app.ask(`/_matrix/media/unstable/admin/retention/preview?${name}=${days}`, { token: ADMIN.token })
    expect((await ask(100_000)).status).toBe(200)
    const { status, json } = await ask(Number.MAX_SAFE_INTEGER)
    expect([status, json['error']]).toEqual([400, `${name} must not be more than 100000`])
  }
})
