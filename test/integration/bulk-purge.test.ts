import { randomBytes } from 'node:crypto'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { ALICE, BOB, startApp, type TestApp } from '../support/app.ts'
import { seed, SEEDED_AT } from '../support/seeds.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org', admin: true }
const LOCAL_ADMIN = { token: 'syt_local_Bb2n', userId: '@local:example.org', admin: true }
const SECRET = 'shared_secret_Jk1z'
const CONFIG = { admins: [ADMIN.userId], sharedSecretAuth: { enabled: true, token: SECRET } }
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
  for (const table of ['thumbnails', 'media', 'deleted_media', 'objects', 'usage_changes', 'audit', 'unused_objects']) {
    sql(`DELETE FROM ${table}`)
  }
})
afterAll(() => app?.[Symbol.asyncDispose]())

const call = async (path: string, token = ADMIN.token, method = 'POST') =>
  await (await theApp()).ask(path, { method, token })
const purge = (path: string, token?: string) => call(`${OWN}/admin/purge/${path}`, token)
const left = async () =>
  (await theApp())
    .sql('SELECT origin, media_id FROM media ORDER BY origin, media_id')
    .map((row) => `${String(row['origin'])}/${String(row['media_id'])}`)
const mxcs = (...names: string[]) => names.map((name) => `mxc://${name}`)
const pin = (media: string, purpose = 'pinned') =>
  theApp().then(({ ask }) =>
    ask(`${OWN}/admin/media/${media}/attributes`, {
      method: 'POST',
      token: ADMIN.token,
      body: JSON.stringify({ purpose }),
    }),
  )

const AFTER = SEEDED_AT + 1

describe('A purge of media of other servers', () => {
  const PATHS = [
    `${OWN}/admin/purge/remote`,
    `${OWN}/io.t2bot.media/admin/purge/remote`,
    `${OWN}/admin/purge_remote`,
    `${OWN}/io.t2bot.media/admin/purge_remote`,
    ...['r0', 'v1', 'v3', 'unstable', 'unstable/io.t2bot.media'].map(
      (version) => `/_matrix/client/${version}/admin/purge_media_cache`,
    ),
  ]

  test.for(PATHS)('takes what nobody has used since: %s', async (path) => {
    const at = await theApp()
    const remote = { origin: 'remote.example', kind: 'remote', uploader: null } as const
    seed(at, { ...remote, mediaId: 'never' })
    seed(at, { ...remote, mediaId: 'long-ago', createdAt: SEEDED_AT - 9000, accessedAt: SEEDED_AT - 5000 })
    const used = seed(at, { ...remote, mediaId: 'used', createdAt: SEEDED_AT - 9000, accessedAt: SEEDED_AT + 5000 })
    const bad = seed(at, { ...remote, mediaId: 'bad', quarantinedAt: SEEDED_AT })
    const pinned = seed(at, { ...remote, mediaId: 'pinned' })
    const ours = seed(at, { mediaId: 'ours' })
    expect((await pin(pinned)).status).toBe(200)

    const { status, json } = await call(`${path}?before_ts=${AFTER}`)
    expect([status, json]).toEqual([200, { total_removed: 2, bytes_removed: 20, kept: 1, is_finished: true }])
    expect(await left()).toEqual([ours, bad, pinned, used].toSorted())
  })

  test('needs a time', async () => {
    expect(await purge('remote')).toMatchObject({
      status: 400,
      json: { errcode: 'M_MISSING_PARAM', error: 'Missing before_ts argument' },
    })
  })
})

describe('A purge of what is old', () => {
  test('takes media of ours only when that is asked for, and their ids never come back', async () => {
    const at = await theApp()
    const ours = seed(at, { mediaId: 'ours' })
    const preview = seed(at, { mediaId: 'preview', kind: 'preview', uploader: null })
    const theirs = seed(at, { origin: 'remote.example', mediaId: 'theirs', kind: 'remote', uploader: null })
    expect((await purge(`old?before_ts=${AFTER}`)).json).toMatchObject({ purged: true, affected: mxcs(theirs) })
    expect(await left()).toEqual([ours, preview])
    expect((await purge('old?include_local=true')).json).toMatchObject({
      purged: true,
      affected: mxcs(ours, preview),
      total_removed: 2,
    })
    expect(await left()).toEqual([])
    expect(at.sql('SELECT media_id FROM deleted_media')).toEqual([{ media_id: 'ours' }])
  })

  test('with dry_run says what would go, and changes nothing', async () => {
    const at = await theApp()
    const ours = seed(at, { mediaId: 'ours' })
    const pinned = seed(at, { mediaId: 'pinned' })
    await pin(pinned)
    const { json } = await purge('old?include_local=true&dry_run=true')
    expect(json).toEqual({
      dry_run: true,
      purged: false,
      is_finished: true,
      total_removed: 0,
      files: 1,
      bytes: 10,
      kept: 1,
      affected: mxcs(ours),
    })
    expect(await left()).toEqual([ours, pinned])
    expect(at.sql(`SELECT id FROM audit WHERE action LIKE 'purge%'`)).toEqual([])
  })
})

describe('A purge of what is quarantined', () => {
  test('takes the bytes, and the content stays blocked; a local administrator decides about the homeserver', async () => {
    const at = await theApp()
    const bytes = randomBytes(40)
    const media = await at.upload(bytes)
    const theirs = seed(at, { origin: 'remote.example', mediaId: 'a', kind: 'remote', quarantinedAt: SEEDED_AT })
    await call(`${OWN}/admin/quarantine/${media}`)
    expect((await purge(`quarantined?before_ts=${SEEDED_AT}`)).json).toMatchObject({ affected: [] })
    expect((await purge('quarantined', LOCAL_ADMIN.token)).json).toMatchObject({
      purged: true,
      affected: mxcs(media),
      kept: 1,
    })
    expect(await at.files()).toEqual([])
    const again = await at.ask('/_matrix/media/v3/upload', { method: 'POST', body: bytes, token: BOB.token })
    expect(again.status).toBe(403)
    expect(await left()).toEqual([theirs])
    expect((await purge('quarantined', ALICE.token)).status).toBe(403)
  })
})

describe("A purge of a user's media", () => {
  test('goes by when they were made, page by page, and keeps what is pinned', async () => {
    const at = await theApp()
    const all = Array.from({ length: 250 }, (_, index) => seed(at, { mediaId: `m${String(index).padStart(3, '0')}` }))
    const newer = seed(at, { mediaId: 'newer', createdAt: SEEDED_AT + 5000 })
    const bobs = seed(at, { mediaId: 'bobs', uploader: BOB.userId })
    const pinned = all[120] ?? ''
    await pin(pinned)
    const { status, json } = await purge(`user/${ALICE.userId}?before_ts=${AFTER}`)
    expect(status).toBe(200)
    expect(json).toMatchObject({ purged: true, total_removed: 249, bytes_removed: 2490, kept: 1, is_finished: true })
    expect(json['affected']).toEqual(mxcs(...all.filter((one) => one !== pinned)))
    expect(await left()).toEqual([bobs, pinned, newer].toSorted())
    const [line] = at.sql(`SELECT actor, subject, affected, error FROM audit WHERE action = 'purge_user_media'`)
    expect(line).toEqual({ actor: ADMIN.userId, subject: ALICE.userId, affected: 249, error: '' })
  })

  test.for([
    ['the user', ALICE.token, 200],
    ['an administrator of the homeserver', LOCAL_ADMIN.token, 200],
    ['the shared secret', SECRET, 200],
    ['another user', BOB.token, 403],
  ] as const)('may be asked for by %s: %s %i', async ([, token, expected]) => {
    const media = seed(await theApp(), { mediaId: 'media' })
    expect((await purge(`user/${ALICE.userId}`, token)).status).toBe(expected)
    expect(await left()).toEqual(expected === 200 ? [] : [media])
  })

  test('of another homeserver is not for local administrators', async () => {
    expect(await purge('user/@a:second.example', LOCAL_ADMIN.token)).toMatchObject({
      status: 403,
      json: { errcode: 'M_FORBIDDEN' },
    })
  })

  test('deletes their files; one that cannot be deleted stops nothing and is left for later', async () => {
    const at = await theApp()
    await at.upload(randomBytes(50))
    await at.upload(randomBytes(50))
    await at.upload(randomBytes(50))
    at.sql(`UPDATE objects SET location = 'nul\\' || char(0) WHERE sha256 = (SELECT min(sha256) FROM objects)`)
    expect((await purge(`user/${ALICE.userId}`)).json).toMatchObject({ purged: true, total_removed: 3 })
    expect(await at.files()).toHaveLength(1)
    expect(at.sql('SELECT * FROM objects')).toEqual([])
    expect(at.sql('SELECT location FROM unused_objects')).toHaveLength(3)
    expect(at.log()).toContain('could not delete the bytes of some purged media')
  })
})

test('A purge of a server takes all of it before a time, and is for who administers it', async () => {
  const at = await theApp()
  const theirs = seed(at, { origin: 'remote.example', mediaId: 'a', kind: 'remote', uploader: null })
  const newer = seed(at, {
    origin: 'remote.example',
    mediaId: 'b',
    kind: 'remote',
    uploader: null,
    createdAt: SEEDED_AT + 5000,
  })
  const ours = seed(at, { mediaId: 'ours' })
  expect((await purge('server/remote.example', LOCAL_ADMIN.token)).status).toBe(403)
  expect((await purge('server/example.org', ALICE.token)).status).toBe(403)
  expect((await purge(`server/remote.example?before_ts=${AFTER}`)).json).toMatchObject({ affected: mxcs(theirs) })
  expect((await purge('server/example.org', LOCAL_ADMIN.token)).json).toMatchObject({ affected: mxcs(ours) })
  expect(await left()).toEqual([newer])
})

describe('A purge of a room', () => {
  test('takes what the homeserver lists, as far as the caller may decide about it', async () => {
    const at = await theApp()
    const [ours, theirs, newer] = [
      seed(at, { mediaId: 'ours' }),
      seed(at, { origin: 'remote.example', mediaId: 'theirs', kind: 'remote', uploader: null }),
      seed(at, { mediaId: 'newer', createdAt: SEEDED_AT + 5000 }),
    ]
    const elsewhere = seed(at, { mediaId: 'elsewhere' })
    const unknown = ['mxc://remote.example/never-fetched', 'nonsense']
    at.homeserver.addRoom(ROOM, { local: mxcs(ours, newer), remote: [...mxcs(theirs), ...unknown] })
    const path = `room/${encodeURIComponent(ROOM)}?before_ts=${AFTER}`
    expect((await purge(path, LOCAL_ADMIN.token)).json).toMatchObject({ purged: true, affected: mxcs(ours), kept: 2 })
    expect((await purge(path)).json).toMatchObject({ purged: true, affected: mxcs(theirs), kept: 1 })
    expect(await left()).toEqual([elsewhere, newer].toSorted())
    expect(at.homeserver.count(`/room/${ROOM}/media`)).toBe(2)
  })

  test('says why it cannot be, where the homeserver cannot be asked', async () => {
    const path = `room/${encodeURIComponent(ROOM)}`
    const at = await theApp()
    expect(await purge(path, SECRET)).toMatchObject({
      status: 400,
      json: { error: expect.stringContaining('the shared secret is none') },
    })
    expect((await purge(path, ALICE.token)).status).toBe(403)
    at.homeserver.misbehave({ status: 404, body: { errcode: 'M_UNRECOGNIZED' } }, '/room/')
    expect(await purge(path)).toMatchObject({
      status: 400,
      json: { error: expect.stringContaining('only Synapse can') },
    })
    at.homeserver.misbehave({ status: 403, body: { errcode: 'M_FORBIDDEN', error: 'no' } }, '/room/')
    expect(await purge(path)).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN', error: 'no' } })
    at.homeserver.misbehave('garbage', '/room/')
    expect((await purge(path)).status).toBe(502)
    at.homeserver.recover()
    const headers = { 'user-agent': 'Cellarium' }
    const back = await at.ask(`${OWN}/admin/purge/${path}`, { method: 'POST', token: ADMIN.token, headers })
    expect(back).toMatchObject({ status: 400, json: { error: expect.stringContaining('leads back to Cellarium') } })
  })
})
