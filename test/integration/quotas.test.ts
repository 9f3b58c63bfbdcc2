import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, BOB, heldClock, mediaOf, startApp, type TestApp } from '../support/app.ts'

const CREATE = '/_matrix/media/v1/create'
const UPLOAD = '/_matrix/media/v3/upload'
const INFO = 'https://example.org/limits'
const BRIDGE = { token: 'token_of_the_bridge', userId: '@bridge:example.org' }
const DAY = 86_400

let app: TestApp
const clock = heldClock()
const accessTokens = {
  useLocalAppserviceConfig: true,
  appservices: [{ id: 'bridge', asToken: BRIDGE.token, senderUserId: BRIDGE.userId }],
}
beforeAll(async () => void (app = await startApp({ clock, config: { accessTokens } })))
afterAll(() => app[Symbol.asyncDispose]())

interface Rule {
  readonly glob?: string
  readonly [option: string]: unknown
}
/** Sets one rule, for a user of its own, so that nothing of before counts. */
async function limit(rule: Rule, uploads: Record<string, unknown> = {}, total: Record<string, unknown> = {}) {
  const user = {
    token: `token_${randomBytes(6).toString('hex')}`,
    userId: `@u${randomBytes(6).toString('hex')}:example.org`,
  }
  app.homeserver.addUser(user)
  const users = [
    { glob: user.userId, maxBytes: -1, ...rule },
    { glob: '@*:*', maxBytes: -1 },
  ]
  await app.reload({ accessTokens, uploads: { maxBytes: 10_000, ...uploads, quotas: { enabled: true, users, total } } })
  return user
}
const post = (token: string, bytes: number) => app.ask(UPLOAD, { method: 'POST', token, body: randomBytes(bytes) })
/** Without a length told before. */
const postChunked = async (token: string, bytes: number) => {
  const headers = { 'transfer-encoding': 'chunked' }
  return await app.ask(UPLOAD, { method: 'POST', token, headers, body: randomBytes(bytes) })
}
const config = async (token: string) => (await app.ask('/_matrix/client/v1/media/config', { token })).json
const create = (token: string) => app.ask(CREATE, { method: 'POST', token })
const forbidden = { status: 403, json: { errcode: 'M_FORBIDDEN', mr_errcode: 'M_QUOTA_EXCEEDED' } }

/** What there is besides rows of other tables: files, objects, names, notes. */
const stored = async () => ({
  files: (await app.files()).toSorted(),
  rows: app.sql(
    `SELECT (SELECT count(*) FROM objects) AS objects, (SELECT count(*) FROM media) AS media,
      (SELECT count(*) FROM recent_uploads) AS recent, (SELECT count(*) FROM unused_objects) AS unused,
      (SELECT count(*) FROM pending_media) AS pending`,
  ),
})

describe('An upload over a quota', () => {
  test.each([
    ['bytes, told before', { maxBytes: 1500 }, post],
    ['bytes, not told before', { maxBytes: 1500 }, postChunked],
    ['files', { maxFiles: 1 }, post],
    ['files, without a length', { maxFiles: 1 }, postChunked],
    ['a window', { windows: [{ seconds: DAY, maxBytes: 1500 }] }, post],
    ['a window, without a length', { windows: [{ seconds: DAY, maxBytes: 1500 }] }, postChunked],
  ])('of %s is refused, and leaves nothing behind', async (_, rule, send) => {
    const { token } = await limit(rule)
    expect((await send(token, 1000)).status).toBe(200)
    const before = await stored()
    expect(await send(token, 1000)).toMatchObject(forbidden)
    expect(await stored()).toEqual(before)
  })

  test('is told which page explains it, in the specification’s words', async () => {
    const { token } = await limit({ maxBytes: 1500, infoUri: INFO })
    await post(token, 1000)
    const { status, json } = await post(token, 1000)
    expect([status, json]).toEqual([
      403,
      {
        errcode: 'M_USER_LIMIT_EXCEEDED',
        mr_errcode: 'M_QUOTA_EXCEEDED',
        error: 'You may keep 1500 bytes of media here',
        info_uri: INFO,
      },
    ])
  })

  test('is refused by its announced length, before any of it has come', async () => {
    const { token } = await limit({ maxBytes: 1500 })
    using connection = await app.connect()
    connection.write(
      `POST ${UPLOAD} HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer ${token}\r\nContent-Length: 2000\r\n\r\n`,
    )
    expect(await connection.until(/\r\n\r\n\{.*\}/)).toContain('403 Forbidden')
  })

  test('to a reserved id is refused too, and the id waits on', async () => {
    const { token } = await limit({ maxBytes: 1500 })
    const media = mediaOf(await create(token))
    const put = (bytes: number) => app.ask(`${UPLOAD}/${media}`, { method: 'PUT', token, body: randomBytes(bytes) })
    expect(await put(2000)).toMatchObject(forbidden)
    expect((await put(1500)).status).toBe(200)
    expect(await put(1500)).toMatchObject({ status: 409 })
  })

  test('is counted and logged', async () => {
    const { token, userId } = await limit({ maxBytes: 0 })
    await post(token, 100)
    const line =
      app
        .log()
        .split('\n')
        .find((text) => text.includes('uploads.quotas') && text.includes(userId)) ?? '{}'
    expect(JSON.parse(line)).toMatchObject({ userId, of: 'user', what: 'bytes', limit: 0, used: 0 })
  })

  test('goes through once something of before is deleted, except in a window', async () => {
    await limit({})
    const rules = [{ maxBytes: 1500 }, { windows: [{ seconds: DAY, maxBytes: 1500 }] }]
    for (const [index, rule] of rules.entries()) {
      const { token } = await limit(rule)
      const media = mediaOf(await post(token, 1000))
      const [, mediaId = ''] = media.split('/')
      app.homeserver.addUser({ token: 'token_of_the_admin', userId: '@admin:example.org', admin: true })
      const path = `/_matrix/media/unstable/admin/purge/example.org/${mediaId}`
      expect((await app.ask(path, { method: 'POST', token: 'token_of_the_admin' })).status).toBe(200)
      expect((await post(token, 1000)).status).toBe(index === 0 ? 200 : 403)
    }
  })

  test('over a window goes through when the window has slid on', async () => {
    const { token } = await limit({ windows: [{ seconds: DAY, maxBytes: 1500 }] })
    await post(token, 1000)
    expect((await post(token, 1000)).status).toBe(403)
    clock.wait(DAY * 1000)
    expect((await post(token, 1000)).status).toBe(200)
  })
})

describe('The rules', () => {
  test('count from the first one that matches: 0 bytes is nothing at all, below 0 no limit', async () => {
    const nobody = await limit({ maxBytes: 0 })
    expect(await post(nobody.token, 0)).toMatchObject(forbidden)
    expect(await create(nobody.token)).toMatchObject(forbidden)
    const anybody = await limit({ maxBytes: -1 })
    expect((await post(anybody.token, 5000)).status).toBe(200)
  })

  test('without maxBytes let nothing in, as in MMR', async () => {
    const { token } = await limit({ maxBytes: undefined, maxFiles: 10 })
    expect(await post(token, 100)).toMatchObject(forbidden)
  })

  test('count for nobody while quotas are switched off', async () => {
    await app.reload({ accessTokens, uploads: { quotas: { enabled: false, users: [{ glob: '*', maxBytes: 0 }] } } })
    expect((await post(ALICE.token, 100)).status).toBe(200)
  })

  test('hold for users of appservices as for others', async () => {
    await limit({ glob: BRIDGE.userId, maxBytes: 0 })
    expect(await post(BRIDGE.token, 100)).toMatchObject(forbidden)
  })

  test('decide how many ids may be reserved, in place of uploads.maxPending', async () => {
    const { token } = await limit({ maxPending: 3 }, { maxPending: 1 })
    for (let open = 0; open < 3; open++) expect((await create(token)).status).toBe(200)
    const refused = await create(token)
    expect(refused).toMatchObject({ status: 429, json: { errcode: 'M_LIMIT_EXCEEDED' } })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(Number(refused.json['retry_after_ms'])).toBeGreaterThan(0)
  })

  test('of 0 reserved ids are no limit', async () => {
    const { token } = await limit({ maxPending: 0 }, { maxPending: 1 })
    for (let open = 0; open < 8; open++) expect((await create(token)).status).toBe(200)
  })
})

test('Appservices of the configuration may reserve as many ids as they need, others only uploads.maxPending', async () => {
  await app.reload({ accessTokens, uploads: { maxPending: 2 } })
  for (let open = 0; open < 8; open++) expect((await create(BRIDGE.token)).status).toBe(200)
  for (let open = 0; open < 2; open++) expect((await create(BOB.token)).status).toBe(200)
  expect((await create(BOB.token)).status).toBe(429)
})

test('A homeserver that is full takes nothing more, whoever sends it, and says no more than that', async () => {
  const { bytes = 0 } =
    app.sql(
      `SELECT coalesce(sum(size), 0) AS bytes FROM media JOIN objects USING (sha256) WHERE origin = 'example.org'`,
    )[0] ?? {}
  const { token } = await limit({ infoUri: INFO }, {}, { maxBytes: Number(bytes) + 1500 })
  expect((await post(token, 1000)).status).toBe(200)
  const before = await stored()
  expect(await post(BOB.token, 1000)).toMatchObject(forbidden)
  expect(await post(token, 1000)).toMatchObject(forbidden)
  expect(await stored()).toEqual(before)
  expect((await post(BOB.token, 500)).status).toBe(200)
})

test('However many uploads come at once, none goes beyond', async () => {
  const { token } = await limit({ maxBytes: 5000, windows: [{ seconds: DAY, maxBytes: 4000 }] })
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(token, 1000)))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(4)
  expect(answers.filter(({ status }) => status === 403)).toHaveLength(16)
  expect((await app.files()).filter((file) => file.includes('.staging'))).toEqual([])
})

describe('config and usage tell', () => {
  const SIZE = 'org.matrix.msc4034.storage.size'

  test.each([
    [
      'what is kept',
      { maxBytes: 5000, maxFiles: 7 },
      { 'm.upload.size': 5000, [SIZE]: 5000, 'org.matrix.msc4034.storage.max_files': 7 },
    ],
    ['the largest upload', { maxBytes: 50_000 }, { 'm.upload.size': 10_000, [SIZE]: 50_000 }],
    ['what a window holds', { windows: [{ seconds: DAY, maxBytes: 300 }] }, { 'm.upload.size': 300 }],
    ['that nothing may be uploaded', { maxBytes: 0 }, { 'm.upload.size': 0, [SIZE]: 0 }],
    ['no limit', {}, { 'm.upload.size': 10_000 }],
  ])('%s', async (_, rule, expected) => {
    const { token } = await limit(rule)
    expect(await config(token)).toEqual(expected)
  })

  test('how much is used', async () => {
    const { token } = await limit({ maxBytes: 5000 })
    await post(token, 700)
    expect((await app.ask('/_matrix/media/unstable/org.matrix.msc4034/usage', { token })).json).toEqual({
      'org.matrix.msc4034.storage.used': 700,
      'org.matrix.msc4034.storage.files': 1,
    })
  })
})
