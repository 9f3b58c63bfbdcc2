import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type Answered, type Asked, BOB, GUEST, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org' }
const LOCAL_ADMIN = { token: 'syt_local_Bb2n', userId: '@local:example.org', admin: true }
const OTHER_ADMIN = { token: 'syt_other_Cc7m', userId: '@other:second.example', admin: true }
const SECRET = 'shared_secret_Jk1z'
const CONFIG = {
  admins: [ADMIN.userId],
  sharedSecretAuth: { enabled: true, token: SECRET },
  quarantine: { replaceThumbnails: false },
}
const PREFIXES = ['/_matrix/media/unstable', '/_matrix/media/unstable/io.t2bot.media']

let app: TestApp
beforeAll(async () => {
  app = await startApp({ config: CONFIG })
  for (const user of [ADMIN, LOCAL_ADMIN, OTHER_ADMIN]) app.homeserver.addUser(user)
})
afterAll(() => app[Symbol.asyncDispose]())

type Act = (media: string, token?: string) => Promise<Answered>
const ask =
  (method: string, path: string, prefix = PREFIXES[0]): Act =>
  (media, token = ADMIN.token) =>
    app.ask(`${prefix}/${path}/${media}`, { method, token })
const quarantine = ask('POST', 'admin/quarantine')
const release = ask('DELETE', 'admin/quarantine')
const purge = ask('POST', 'admin/purge')
const remove = ask('DELETE', 'download')

const picture = () => noise({ width: 200, height: 100 }).png().toBuffer()

const WAYS: readonly Asked[] = [
  {},
  { method: 'HEAD' },
  { headers: { range: 'bytes=0-9' } },
  { headers: { 'if-none-match': '*' } },
]

/** Each way in which media can be asked for, conditionally too: the statuses that come. */
async function statuses(media: string): Promise<number[]> {
  const asked = ['download', 'thumbnail'].flatMap((kind) =>
    WAYS.map((how) =>
      app.ask(`/_matrix/client/v1/media/${kind}/${media}?width=32&height=32`, { token: ALICE.token, ...how }),
    ),
  )
  return [...new Set((await Promise.all(asked)).map(({ status }) => status))].toSorted((a, b) => a - b)
}

describe('Quarantined media', () => {
  test('are not found by anybody in any way, under any name, nor taken again, until they are released', async () => {
    const bytes = await picture()
    const first = await app.upload(bytes)
    const second = await app.upload(bytes, { token: BOB.token })
    for (let time = 0; time < 3; time++) expect(await statuses(first)).toEqual([200, 206, 304])
    const { status, json } = await quarantine(first)
    expect([status, json]).toEqual([200, { num_quarantined: 2 }])
    expect(await statuses(first)).toEqual([404])
    expect(await statuses(second)).toEqual([404])
    const again = await app.ask('/_matrix/media/v3/upload', { method: 'POST', body: bytes, token: ALICE.token })
    expect(again).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
    expect((await quarantine(second)).json).toEqual({ num_quarantined: 0 })

    expect(await release(second)).toMatchObject({ status: 200, json: { num_released: 2 } })
    expect(await statuses(first)).toEqual([200, 206, 304])
    expect(app.log()).toContain('"by":"@admin:example.org","msg":"quarantined"')
  })

  test('of an unknown id are none', async () => {
    for (const act of [quarantine, release]) {
      expect(Object.values((await act('example.org/nothing')).json)).toEqual([0])
    }
    expect(await quarantine('example.org/no%20id')).toMatchObject({ status: 400, json: { errcode: 'M_INVALID_PARAM' } })
  })

  test.for([
    ['an administrator of the repository', ADMIN.token, 200],
    ['the shared secret', SECRET, 200],
    ['an administrator of the homeserver', LOCAL_ADMIN.token, 200],
    ['the uploader', ALICE.token, 403],
    ['a guest', GUEST.token, 403],
  ] as const)('are made by %s: %s %i', async ([, token, expected]) => {
    const media = await app.upload(randomBytes(50))
    for (const [index, prefix] of PREFIXES.entries()) {
      const { status, json } = await ask('POST', 'admin/quarantine', prefix)(media, token)
      expect(status).toBe(expected)
      if (status === 200) expect(json).toEqual({ num_quarantined: index === 0 ? 1 : 0 })
      else expect(json).toMatchObject({ errcode: expect.stringMatching(/FORBIDDEN/) })
    }
    expect((await release(media, token)).status).toBe([ADMIN.token, SECRET].includes(token) ? 200 : 403)
  })

  test('of other servers are for administrators of the repository, and local ones may be kept from all of it', async () => {
    const other = await quarantine('remote.example/abc', LOCAL_ADMIN.token)
    expect(other).toMatchObject({
      status: 403,
      json: { errcode: 'M_FORBIDDEN', error: expect.stringContaining('on other homeservers') },
    })
    const media = await app.upload(randomBytes(50))
    await app.reload({ ...CONFIG, quarantine: { allowLocalAdmins: false } })
    expect(await quarantine(media, LOCAL_ADMIN.token)).toMatchObject({
      status: 403,
      json: { error: expect.stringContaining('allowLocalAdmins') },
    })
    await app.reload(CONFIG)
    expect((await quarantine(media, LOCAL_ADMIN.token)).status).toBe(200)
    expect(await release(media, LOCAL_ADMIN.token)).toMatchObject({
      status: 403,
      json: { error: 'Only administrators of the repository (admins) may end a quarantine' },
    })
  })
})

describe('Deleted media', () => {
  test.for([
    ['POST', 'admin/purge'],
    ['DELETE', 'download'],
  ] as const)('are gone for good, with their file: %s %s', async ([method, path]) => {
    const before = await app.files()
    const bytes = await picture()
    const media = await app.upload(bytes)
    for (let time = 0; time < 3; time++) expect(await statuses(media)).toEqual([200, 206, 304])
    for (const prefix of PREFIXES) {
      const { status, json } = await ask(method, path, prefix)(media)
      expect([status, json]).toEqual([200, { purged: true }])
      expect(await statuses(media)).toEqual([404])
    }
    expect(await app.files()).toEqual(before)
    const again = await app.upload(bytes)
    expect(again).not.toBe(media)
    expect(await statuses(again)).toEqual([200, 206, 304])
    await remove(again)
  })

  test('leave copies of the same file alone', async () => {
    const bytes = randomBytes(500)
    const first = await app.upload(bytes)
    const second = await app.upload(bytes, { token: BOB.token })
    await purge(first)
    const answer = await app.ask(`/_matrix/client/v1/media/download/${second}`, { token: BOB.token })
    expect(answer.body.equals(bytes)).toBe(true)
  })

  test.for([
    ['an administrator of the repository', ADMIN.token, 200],
    ['the shared secret', SECRET, 200],
    ['an administrator of the homeserver', LOCAL_ADMIN.token, 200],
    ['the uploader', ALICE.token, 200],
    ['another user', BOB.token, 403],
    ['a guest', GUEST.token, 403],
  ] as const)('were deleted by %s: %s %i', async ([, token, expected]) => {
    const media = await app.upload(randomBytes(50))
    expect((await remove(media, token)).status).toBe(expected)
    const found = await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })
    expect(found.status).toBe(expected === 200 ? 404 : 200)
  })

  test('may be deleted again', async () => {
    const media = await app.upload(randomBytes(50))
    for (let time = 0; time < 2; time++) {
      expect(await purge(media, ALICE.token)).toMatchObject({ status: 200, json: { purged: true } })
    }
  })

  test('whose file cannot be deleted are gone all the same, and their file is left for later', async () => {
    await using broken = await startApp({ config: CONFIG })
    broken.homeserver.addUser(ADMIN)
    const media = await broken.upload(randomBytes(50))
    broken.sql(`UPDATE objects SET location = 'nul\\' || char(0)`)
    const { status } = await broken.ask(`${PREFIXES[0]}/download/${media}`, { method: 'DELETE', token: ADMIN.token })
    expect(status).toBe(200)
    expect(broken.log()).toContain('could not delete the bytes of deleted media')
    expect(broken.sql('SELECT * FROM objects')).toEqual([])
    expect(broken.sql('SELECT datastore FROM unused_objects'), 'it is tried again').toHaveLength(1)
  })
})
