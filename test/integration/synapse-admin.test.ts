import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type Answered, BOB, type HeldClock, heldClock, startApp, type TestApp } from '../support/app.ts'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'
import { noise } from '../support/images.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org', admin: true }
const LOCAL_ADMIN = { token: 'syt_local_Bb2n', userId: '@local:example.org', admin: true }
const OTHER_ADMIN = { token: 'syt_other_Cc7m', userId: '@other:second.example', admin: true }
const CAROL = { token: 'syt_carol_Dd1k', userId: '@carol:second.example' }
const SECRET = 'shared_secret_Jk1z'
const DAY_MS = 86_400_000

let app: TestApp
let second: HomeserverDouble
let clock: HeldClock
beforeAll(async () => {
  second = await startHomeserver({ serverName: 'second.example' })
  clock = heldClock()
  app = await startApp({
    clock,
    config: {
      admins: [ADMIN.userId],
      sharedSecretAuth: { enabled: true, token: SECRET },
      quarantine: { replaceThumbnails: false },
    },
    otherHomeservers: [{ name: 'second.example', csApi: second.url }],
  })
  for (const user of [ADMIN, LOCAL_ADMIN]) app.homeserver.addUser(user)
  for (const user of [OTHER_ADMIN, CAROL]) second.addUser(user)
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
})

interface How {
  readonly token?: string
  readonly method?: string
  readonly host?: string
}

const admin = (
  path: string,
  { token = ADMIN.token, method = 'GET', host = 'example.org' }: How = {},
): Promise<Answered> => app.ask(`/_synapse/admin/v1/${path}`, { token, method, headers: { host } })
const post = (path: string, how: How = {}) => admin(path, { ...how, method: 'POST' })
const picture = () => noise({ width: 60, height: 40 }).png().toBuffer()
const download = (media: string, token = ALICE.token, query = '') =>
  app.ask(`/_matrix/client/v1/media/download/${media}${query}`, { token })
const idOf = (media: string) => media.split('/').at(-1) ?? ''
/** Another name of some media: as if it had come from another server. */
function copyOf(media: string, name: string): void {
  const [server, id] = name.split('/')
  app.sql(
    `INSERT INTO media (origin, media_id, sha256, kind, content_type, created_at, accessed_at)
     SELECT ?, ?, sha256, 'remote', content_type, created_at, accessed_at FROM media WHERE media_id = ?`,
    server ?? '',
    id ?? '',
    idOf(media),
  )
}

/** Whatever is old within the hour. */
const deleteOld = (query = '', how: How = {}) => post(`media/delete?before_ts=${clock.now() + 3_600_000}${query}`, how)
const mediaOfUser = (name: string, how: How = {}) => admin(`users/@${name}:example.org/media`, how)

describe("Synapse's media admin API", () => {
  test('is for administrators, and says so to others, with 403 on each of its paths', async () => {
    const id = `example.org/nothing`
    const calls = [
      ['GET', 'room/!r:example.org/media'],
      ['POST', 'room/!r:example.org/media/quarantine'],
      ['POST', 'quarantine_media/!r:example.org'],
      ['GET', `users/${ALICE.userId}/media`],
      ['DELETE', `users/${ALICE.userId}/media`],
      ['GET', `media/${id}`],
      ['DELETE', `media/${id}`],
      ['POST', `media/quarantine/${id}`],
      ['POST', `media/unquarantine/${id}`],
      ['POST', `user/${ALICE.userId}/media/quarantine`],
      ['POST', 'media/protect/nothing'],
      ['POST', 'media/unprotect/nothing'],
      ['GET', 'media/quarantine_changes'],
      ['POST', 'media/delete?before_ts=1600000000000'],
      ['POST', 'media/example.org/delete?before_ts=1600000000000'],
      ['POST', 'purge_media_cache?before_ts=1600000000000'],
      ['GET', 'statistics/users/media'],
    ] as const
    for (const [method, path] of calls) {
      const refused = await admin(path, { method, token: ALICE.token })
      expect(refused, path).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
    }
    expect(await post('purge_media_cache?before_ts=1600000000000', { token: LOCAL_ADMIN.token })).toMatchObject({
      status: 403,
    })
  })

  test('lets administrators of one homeserver see and decide about nothing of another one here', async () => {
    const theirs = await app.upload(await picture(), { token: CAROL.token, host: 'second.example' })
    const remote = 'elsewhere.example/copy1'
    copyOf(theirs, remote)
    const local = { token: LOCAL_ADMIN.token }
    expect((await admin(`media/${theirs}`, local)).status).toBe(404)
    expect((await admin(`media/${remote}`, local)).status).toBe(200)
    for (const path of [`media/quarantine/${theirs}`, `user/${CAROL.userId}/media/quarantine`]) {
      expect((await post(path, local)).status, path).toBe(403)
    }
    expect((await post(`media/unquarantine/${theirs}`, local)).status).toBe(403)
    for (const method of ['GET', 'DELETE']) {
      expect((await admin(`users/${CAROL.userId}/media`, { ...local, method })).status).toBe(400)
    }
    expect((await admin(`media/${theirs}`, { ...local, method: 'DELETE' })).status).toBe(400)
    expect((await admin('statistics/users/media', local)).json['users']).not.toMatchObject([{ user_id: CAROL.userId }])

    const begin = (await admin('media/quarantine_changes')).json['next_batch']
    expect((await post(`media/quarantine/${theirs}`)).json).toEqual({})
    const changes = async (how: How) =>
      (await admin(`media/quarantine_changes?from=${String(begin)}`, how)).json['changes']
    expect(await changes({})).toHaveLength(2)
    expect(await changes(local)).toEqual([{ origin: 'elsewhere.example', media_id: 'copy1', quarantined: true }])
    expect((await admin(`media/${theirs}`)).json).toMatchObject({ media_info: { quarantined_by: ADMIN.userId } })
  })

  test('asks the homeserver whether a user exists of whom there are no media', async () => {
    expect(await mediaOfUser('bob')).toMatchObject({ status: 200, json: { media: [], total: 0 } })
    expect(await mediaOfUser('nobody')).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
    app.homeserver.misbehave({ status: 500 }, '/profile/')
    expect((await mediaOfUser('nobody')).status).toBe(502)
    app.homeserver.recover()
    expect((await mediaOfUser('nobody', { token: SECRET })).status, 'the secret is no token of the homeserver').toBe(
      200,
    )
  })
})

describe('The media of a room', () => {
  test('are 502 where the homeserver itself fails, whatever it says', async () => {
    app.homeserver.misbehave({ status: 500, body: { errcode: 'M_UNKNOWN', error: 'Internal server error' } }, '/media')
    const { status, json } = await app.ask(`/_synapse/admin/v1/room/${encodeURIComponent('!room:example.org')}/media`, {
      token: ADMIN.token,
    })
    app.homeserver.recover()
    expect([status, json['errcode']]).toEqual([502, 'M_UNKNOWN'])
  })

  test('are listed by the homeserver, asked with the token of the caller, and not by ourselves', async () => {
    const media = { local: ['mxc://example.org/abc'], remote: ['mxc://elsewhere.example/def'] }
    app.homeserver.addRoom('!room:example.org', media)
    const path = `room/${encodeURIComponent('!room:example.org')}/media`
    expect(await admin(path)).toMatchObject({ status: 200, json: media })
    const asked = app.homeserver.requests.findLast((one) => one.path.endsWith('/media'))
    expect(asked?.headers.authorization).toBe(`Bearer ${ADMIN.token}`)
    expect(await admin(path, { token: SECRET })).toMatchObject({ status: 400 })
    const headers = { host: 'example.org', 'user-agent': String(asked?.headers['user-agent']) }
    const ourselves = await app.ask(`/_synapse/admin/v1/${path}`, { token: ADMIN.token, headers })
    expect(ourselves).toMatchObject({ status: 400, json: { error: expect.stringContaining('csApi of example.org') } })
  })

  test('are quarantined under all their names, by both addresses', async () => {
    for (const path of ['room/!it:example.org/media/quarantine', 'quarantine_media/!it:example.org']) {
      const first = await app.upload(await picture())
      const [kept, far] = [await app.upload(await picture()), 'elsewhere.example/room']
      await post(`media/protect/${idOf(kept)}`)
      copyOf(first, `${far}${idOf(first)}`)
      app.homeserver.addRoom('!it:example.org', {
        local: [`mxc://${kept}`, 'nonsense'],
        remote: [`mxc://${far}${idOf(first)}`],
      })
      expect((await post(path)).json).toEqual({ num_quarantined: 2 })
      expect([(await download(first)).status, (await download(kept)).status]).toEqual([404, 200])
    }
  })
})

describe('Quarantined media', () => {
  const BYPASS = '?admin_unsafely_bypass_quarantine=true'

  test('are seen by administrators who ask for it, and kept nowhere on the way', async () => {
    const media = await app.upload(await picture())
    await post(`media/quarantine/${media}`)
    for (const token of [ADMIN.token, LOCAL_ADMIN.token, SECRET]) {
      const seen = await download(media, token, BYPASS)
      expect(seen.status, token).toBe(200)
      expect(seen.headers['cache-control']).toBe('private, no-store')
      expect((await download(media, token)).status).toBe(404)
    }
    const sized = `${BYPASS}&width=32&height=32`
    for (const path of [`client/v1/media/thumbnail/${media}${sized}`, `media/v3/thumbnail/${media}${sized}`]) {
      expect((await app.ask(`/_matrix/${path}`, { token: ADMIN.token })).status, path).toBe(200)
      expect((await app.ask(`/_matrix/${path}`, { token: ALICE.token })).status, path).toBe(400)
    }
    // Where administrators see nothing else, the parameter opens nothing.
    const info = await app.ask(`/_matrix/media/unstable/info/${media}${BYPASS}`, { token: ALICE.token })
    expect(info.status).toBe(404)
  })

  test('are refused to others who ask for it with 400, and nothing is fetched for them', async () => {
    const local = await app.upload(await picture())
    for (const media of [local, 'elsewhere.invalid/abc']) {
      expect(await download(media, BOB.token, BYPASS)).toMatchObject({ status: 400, json: { errcode: 'M_UNKNOWN' } })
    }
    // An administrator of one homeserver sees what is quarantined of that one.
    expect((await download('elsewhere.invalid/abc', LOCAL_ADMIN.token, BYPASS)).status).toBe(400)
    expect((await app.ask(`/_matrix/media/v3/download/${local}${BYPASS}`)).status).toBe(400)
    expect(app.log()).not.toContain('elsewhere.invalid/_matrix')
    expect((await download(local, BOB.token, '?admin_unsafely_bypass_quarantine=false')).status).toBe(200)
  })
})

describe('Old media', () => {
  test('are deleted but for pictures of users and rooms, what is protected, and what is quarantined', async () => {
    const [avatar, room, kept, blocked, plain] = (await Promise.all(
      Array.from({ length: 5 }, async () => await app.upload(await picture())),
    )) as [string, string, string, string, string]
    app.homeserver.setAvatar(ALICE.userId, `mxc://${avatar}`)
    app.homeserver.setAvatar('!a:example.org', `mxc://${room}`)
    app.homeserver.setAvatar('!b:example.org', 'mxc://elsewhere.example/abc')
    await post(`media/protect/${idOf(kept)}`)
    await post(`media/quarantine/${blocked}`)
    const theirs = await app.upload(await picture(), { token: CAROL.token, host: 'second.example' })

    expect((await deleteOld('&size_gt=10000000')).json).toEqual({ deleted_media: [], total: 0 })
    const { status, json } = await deleteOld()
    expect(status).toBe(200)
    expect(json['deleted_media']).toContain(idOf(plain))
    expect(json['total']).toBe((json['deleted_media'] as string[]).length)
    for (const media of [avatar, room, kept, theirs]) expect((await download(media)).status, media).toBe(200)
    expect((await download(plain)).status).toBe(404)
    expect((await admin(`media/${blocked}`)).json).toMatchObject({ media_info: { quarantined_by: ADMIN.userId } })
    expect(new Set((await deleteOld('&keep_profiles=false')).json['deleted_media'] as string[])).toEqual(
      new Set([idOf(avatar), idOf(room)]),
    )
    const audit = app.sql(`SELECT affected FROM audit WHERE action = 'purge_old_media' ORDER BY id DESC LIMIT 1`)
    expect(audit).toEqual([{ affected: 2 }])
  })

  test('all stay when the homeserver does not tell whose pictures they are', async () => {
    const media = await app.upload(await picture())
    for (const path of ['/profile/', '/v1/rooms']) {
      app.homeserver.misbehave({ status: 500, body: { errcode: 'M_UNKNOWN' } }, path)
      expect((await deleteOld()).status, path).toBe(502)
      app.homeserver.recover()
    }
    expect(await deleteOld('', { token: SECRET })).toMatchObject({
      status: 400,
      json: { error: expect.stringContaining('administrator') },
    })
    expect((await download(media)).status).toBe(200)
    expect((await deleteOld('&keep_profiles=false', { token: SECRET })).json).toMatchObject({
      deleted_media: expect.arrayContaining([idOf(media)]),
    })
  })

  test('of other servers go when nobody has read them since, but for what is quarantined', async () => {
    const media = await app.upload(await picture())
    const [old, fresh, blocked] = ['elsewhere.example/old', 'elsewhere.example/fresh', 'elsewhere.example/blocked']
    for (const name of [old, fresh, blocked]) copyOf(media, name)
    const at = clock.now()
    app.sql(`UPDATE media SET accessed_at = ? WHERE kind = 'remote'`, at - 2 * DAY_MS)
    app.sql(`UPDATE media SET accessed_at = ? WHERE media_id = 'fresh'`, at)
    app.sql(`UPDATE media SET quarantined_at = ? WHERE media_id = 'blocked'`, at)
    const there = () => app.sql(`SELECT media_id FROM media WHERE media_id IN ('old', 'fresh', 'blocked') ORDER BY 1`)
    const before = there().length
    expect(before).toBe(3)
    const { json } = await post(`purge_media_cache?before_ts=${at - DAY_MS}`)
    expect(json['deleted']).toBeGreaterThanOrEqual(1)
    expect(there()).toEqual([{ media_id: 'blocked' }, { media_id: 'fresh' }])
    expect((await post(`purge_media_cache?before_ts=${at - DAY_MS}`)).json).toEqual({ deleted: 0 })
  })
})
