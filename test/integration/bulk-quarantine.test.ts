import { randomBytes } from 'node:crypto'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { ALICE, BOB, startApp, type TestApp } from '../support/app.ts'
import { seed, SEEDED_AT } from '../support/seeds.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org', admin: true }
const LOCAL_ADMIN = { token: 'syt_local_Bb2n', userId: '@local:example.org', admin: true }
const SECRET = 'shared_secret_Jk1z'
const CONFIG = {
  admins: [ADMIN.userId],
  sharedSecretAuth: { enabled: true, token: SECRET },
  quarantine: { replaceThumbnails: false },
}
const OWN = '/_matrix/media/unstable'
const ROOM = '!room:example.org'

let app: TestApp | undefined
/** One for all tests, emptied of media for each. */
const theApp = async (): Promise<TestApp> => {
  if (app) return app
  app = await startApp({ config: CONFIG })
  for (const user of [ADMIN, LOCAL_ADMIN]) app.homeserver.addUser(user)
  return app
}
beforeEach(async () => {
  const { sql } = await theApp()
  for (const table of ['thumbnails', 'media', 'deleted_media', 'objects', 'usage_changes', 'audit']) {
    sql(`DELETE FROM ${table}`)
  }
})
afterAll(() => app?.[Symbol.asyncDispose]())

const call = async (method: string, path: string, token = ADMIN.token) =>
  await (await theApp()).ask(path, { method, token })
const quarantine = (path: string, token?: string) => call('POST', `${OWN}/admin/quarantine/${path}`, token)
const release = (path: string, token?: string) => call('DELETE', `${OWN}/admin/quarantine/${path}`, token)
const statusOf = async (media: string) =>
  (await call('GET', `/_matrix/client/v1/media/download/${media}`, ALICE.token)).status

const pathOf = (media: string) => `${OWN}/admin/media/${media}/attributes`
const setPurpose = async (media: string, purpose: unknown, token = ADMIN.token) =>
  await (await theApp()).ask(pathOf(media), { method: 'POST', token, body: JSON.stringify({ purpose }) })
const inQuarantine = async () =>
  (await theApp())
    .sql('SELECT origin, media_id FROM media WHERE quarantined_at IS NOT NULL ORDER BY origin, media_id')
    .map((row) => `${String(row['origin'])}/${String(row['media_id'])}`)

describe('Quarantining what a user uploaded', () => {
  test('takes all names of the content but protected ones, and is ended for the same', async () => {
    const at = await theApp()
    const bytes = randomBytes(40)
    const mine = await at.upload(bytes)
    const copy = await at.upload(bytes, { token: BOB.token })
    const bobs = await at.upload(randomBytes(40), { token: BOB.token })
    const pinned = await at.upload(randomBytes(40))
    expect((await setPurpose(pinned, 'pinned')).status).toBe(200)
    for (const media of [mine, copy, bobs, pinned]) expect(await statusOf(media)).toBe(200)

    expect(await quarantine(`user/${ALICE.userId}`)).toMatchObject({
      status: 200,
      json: { num_quarantined: 2, kept: 1, is_finished: true },
    })
    expect(await Promise.all([mine, copy, bobs, pinned].map(statusOf))).toEqual([404, 404, 200, 200])
    expect(at.sql('SELECT DISTINCT quarantined_by FROM media WHERE quarantined_at IS NOT NULL')).toEqual([
      { quarantined_by: ADMIN.userId },
    ])
    expect((await quarantine(`user/${ALICE.userId}`)).json).toMatchObject({ num_quarantined: 0 })

    expect((await release(`user/${ALICE.userId}`, LOCAL_ADMIN.token)).status).toBe(403)
    expect((await release(`user/${ALICE.userId}`)).json).toMatchObject({ num_released: 2, is_finished: true })
    expect(await Promise.all([mine, copy, bobs, pinned].map(statusOf))).toEqual([200, 200, 200, 200])
    const lines = at.sql(`SELECT action, affected FROM audit WHERE subject = '${ALICE.userId}' ORDER BY id`)
    expect(lines).toEqual([
      { action: 'quarantine_user', affected: 2 },
      { action: 'quarantine_user', affected: 0 },
      { action: 'release_user', affected: 2 },
    ])
  })

  test('goes page by page through however many, and is not for everybody', async () => {
    const at = await theApp()
    for (let index = 0; index < 230; index++) seed(at, { mediaId: `m${index}` })
    expect((await quarantine(`user/${ALICE.userId}`, ALICE.token)).status).toBe(403)
    expect((await quarantine('user/@a:second.example', LOCAL_ADMIN.token)).status).toBe(403)
    expect((await quarantine(`user/${ALICE.userId}`, LOCAL_ADMIN.token)).json).toMatchObject({ num_quarantined: 230 })
    expect((await release(`user/${ALICE.userId}`, SECRET)).json).toMatchObject({ num_released: 230 })
  })

  test('may be kept from local administrators', async () => {
    const at = await theApp()
    await at.reload({ ...CONFIG, quarantine: { allowLocalAdmins: false } })
    expect((await quarantine(`user/${ALICE.userId}`, LOCAL_ADMIN.token)).status).toBe(403)
    await at.reload(CONFIG)
    expect((await quarantine(`user/${ALICE.userId}`, LOCAL_ADMIN.token)).status).toBe(200)
  })
})

test('Quarantining a server takes other names of the same content along, but only for administrators of all', async () => {
  const at = await theApp()
  const remote = { origin: 'remote.example', kind: 'remote', uploader: null } as const
  const theirs = seed(at, { ...remote, mediaId: 'theirs', sha256: 'shared' })
  const ours = seed(at, { mediaId: 'ours', sha256: 'shared' })
  expect((await quarantine('server/remote.example', LOCAL_ADMIN.token)).status).toBe(403)
  expect((await quarantine('server/example.org', LOCAL_ADMIN.token)).json).toMatchObject({ num_quarantined: 1 })
  expect(await inQuarantine()).toEqual([ours])
  expect((await quarantine('server/remote.example')).json).toMatchObject({ num_quarantined: 1 })
  expect(await inQuarantine()).toEqual([ours, theirs])
  expect((await release('server/remote.example')).json).toMatchObject({ num_released: 2 })
  expect(await inQuarantine()).toEqual([])
})

describe('Quarantining a room', () => {
  const room = encodeURIComponent(ROOM)
  const ways = [
    ...['', 'io.t2bot.media/'].map((prefix) => `${OWN}/${prefix}admin/quarantine/room/${room}`),
    ...['r0', 'v1', 'v3', 'unstable', 'unstable/io.t2bot.media'].map(
      (version) => `/_matrix/client/${version}/admin/quarantine_media/${room}`,
    ),
  ]
  test.for(ways)('takes what the homeserver lists, also what was deleted: %s', async (path) => {
    const at = await theApp()
    const ours = seed(at, { mediaId: 'ours' })
    const theirs = seed(at, { origin: 'remote.example', mediaId: 'theirs', kind: 'remote', uploader: null })
    const bytes = randomBytes(30)
    const gone = await at.upload(bytes)
    await call('DELETE', `${OWN}/download/${gone}`)
    const listed = { local: [`mxc://${ours}`, `mxc://${gone}`], remote: [`mxc://${theirs}`, 'mxc://remote.example/x'] }
    at.homeserver.addRoom(ROOM, listed)
    expect((await call('POST', path)).json).toMatchObject({ num_quarantined: 2, is_finished: true })
    expect(await inQuarantine()).toEqual([ours, theirs])
    const again = { method: 'POST', body: bytes, token: BOB.token }
    expect((await at.ask('/_matrix/media/v3/upload', again)).status).toBe(403)
    expect((await call('DELETE', path)).json).toMatchObject({ num_released: 2 })
    expect((await at.ask('/_matrix/media/v3/upload', again)).status).toBe(200)
  })

  test('with the shared secret cannot be: it is no access token', async () => {
    expect(await quarantine(`room/${room}`, SECRET)).toMatchObject({
      status: 400,
      json: { error: expect.stringContaining('the shared secret is none') },
    })
  })
})

describe('Attributes of media', () => {
  test('are shown and changed by who administers them, and keep from quarantine and deletion', async () => {
    const at = await theApp()
    const media = await at.upload(randomBytes(20))
    const shown = async (token?: string) => await call('GET', pathOf(media), token)
    expect(await shown()).toMatchObject({ status: 200, json: { purpose: 'none' } })
    expect(await setPurpose(media, 'pinned', LOCAL_ADMIN.token)).toMatchObject({
      status: 200,
      json: { purpose: 'pinned' },
    })
    expect((await shown(LOCAL_ADMIN.token)).json).toEqual({ purpose: 'pinned' })
    expect((await quarantine(media)).json).toEqual({ num_quarantined: 0 })
    expect(await call('POST', `${OWN}/admin/purge/${media}`, ALICE.token)).toMatchObject({
      status: 403,
      json: { error: expect.stringContaining('protected') },
    })
    expect(await statusOf(media)).toBe(200)
    expect((await setPurpose(media, 'none')).json).toEqual({ purpose: 'none' })
    expect((await call('POST', `${OWN}/admin/purge/${media}`, ALICE.token)).json).toEqual({ purged: true })
  })

  test('are refused where there is nothing, by whom they do not concern, and where they make no sense', async () => {
    const at = await theApp()
    const theirs = seed(at, { origin: 'remote.example', mediaId: 'a', kind: 'remote', createdAt: SEEDED_AT })
    expect((await call('GET', pathOf('example.org/nothing'))).status).toBe(404)
    expect((await setPurpose('example.org/nothing', 'pinned')).status).toBe(404)
    for (const token of [ALICE.token, LOCAL_ADMIN.token]) {
      expect((await setPurpose(theirs, 'pinned', token)).status).toBe(403)
      expect((await call('GET', pathOf(theirs), token)).status).toBe(403)
    }
    expect(await setPurpose(theirs, 'dear to me')).toMatchObject({
      status: 400,
      json: { error: 'purpose must be one of none, pinned' },
    })
    const body = 'purpose=pinned'
    expect(await at.ask(pathOf(theirs), { method: 'POST', token: ADMIN.token, body })).toMatchObject({
      status: 400,
      json: { error: 'the body is not JSON' },
    })
    const long = JSON.stringify({ purpose: 'x'.repeat(100_000) })
    expect((await at.ask(pathOf(theirs), { method: 'POST', token: ADMIN.token, body: long })).status).toBe(413)
  })
})

describe('local_copy', () => {
  test('gives media of another server a name here, under which they stay when the other is gone', async () => {
    const at = await theApp()
    const bytes = randomBytes(3000)
    const original = await at.upload(bytes, { token: BOB.token, type: 'text/plain', name: 'a.txt' })
    at.sql(`UPDATE media SET origin = 'remote.example', kind = 'remote', uploader = NULL`)
    const [, id] = original.split('/')
    const answer = await call('GET', `${OWN}/local_copy/remote.example/${id}`, ALICE.token)
    expect(answer.status).toBe(200)
    const copied = String(answer.json['content_uri']).replace('mxc://', '')
    expect(copied).toMatch(/^example\.org\//)
    await call('POST', `${OWN}/admin/purge/server/remote.example`)
    const got = await call('GET', `/_matrix/client/v1/media/download/${copied}`, ALICE.token)
    expect(got.body.equals(bytes)).toBe(true)
    expect(got.headers['content-type']).toMatch(/^text\/plain/)
    expect(at.sql('SELECT uploader, kind, upload_name FROM media')).toEqual([
      { uploader: ALICE.userId, kind: 'upload', upload_name: 'a.txt' },
    ])
  })

  test('refuses what is here already, what is quarantined, and what is nowhere', async () => {
    const at = await theApp()
    const media = await at.upload(randomBytes(30))
    expect(await call('GET', `${OWN}/local_copy/${media}`, ALICE.token)).toMatchObject({
      status: 400,
      json: { error: 'Attempted to clone media to the same origin' },
    })
    seed(at, { origin: 'remote.example', mediaId: 'bad', kind: 'remote', quarantinedAt: SEEDED_AT })
    for (const id of ['bad', 'nothing']) {
      const path = `${OWN}/local_copy/remote.example/${id}?allow_remote=false`
      expect((await call('GET', path, ALICE.token)).status).toBe(404)
    }
  })
})
