import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type Answered, BOB, GUEST, heldClock, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org' }
const LOCAL_ADMIN = { token: 'syt_local_Bb2n', userId: '@local:example.org', admin: true }
const SECRET = 'shared_secret_Jk1z'
const PREFIXES = ['/_matrix/media/unstable', '/_matrix/media/unstable/io.t2bot.media']
const DAY_MS = 24 * 3600 * 1000

const clock = heldClock()
let app: TestApp
/** Media ids, in the order in which they came. */
const alices: string[] = []
let bobs = ''
let picture: Buffer
/** Between the first uploads and the last. */
let between = 0

beforeAll(async () => {
  app = await startApp({
    clock,
    config: { admins: [ADMIN.userId], sharedSecretAuth: { enabled: true, token: SECRET } },
  })
  for (const user of [ADMIN, LOCAL_ADMIN]) app.homeserver.addUser(user)
  for (const size of [10, 20, 30]) alices.push(idOf(await app.upload('a'.repeat(size), { name: `${size}.txt` })))
  picture = await noise({ width: 200, height: 100 }).png().toBuffer()
  clock.wait(2 * DAY_MS)
  between = clock.now()
  clock.wait(1000)
  bobs = idOf(await app.upload(picture, { token: BOB.token, type: 'image/png', name: 'b.png' }))
})
afterAll(() => app[Symbol.asyncDispose]())

const idOf = (media: string) => media.split('/')[1] ?? ''
const mxc = (id: string) => `mxc://example.org/${id}`
const ask = (path: string, token = ADMIN.token, prefix = PREFIXES[0]): Promise<Answered> =>
  app.ask(`${prefix}/admin/usage/${path}`, { token })
const thumbnail = (id: string) =>
  app.ask(`/_matrix/client/v1/media/thumbnail/example.org/${id}?width=32&height=32&method=crop`, { token: ALICE.token })
/** Follows `Link` from answer to answer, and gives the keys of each. */
async function pages(path: string): Promise<string[][]> {
  const found: string[][] = []
  for (let next: string | undefined = path; next !== undefined && found.length < 9;) {
    const { status, json, headers } = await ask(next)
    expect(status).toBe(200)
    found.push(Object.keys(json))
    const query: string | undefined = /^<(\?[^>]*)>; rel="next"$/.exec(String(headers['link'] ?? ''))?.[1]
    next = query === undefined ? undefined : path.replace(/\?.*/, query)
  }
  return found
}

describe('What a server uses', () => {
  test('is its media and their thumbnails, under both of MMR’s prefixes', async () => {
    const media = { bytes: 60 + picture.length, files: 4 }
    const before = (await ask('example.org')).json
    expect(before).toEqual({
      raw_bytes: { total: media.bytes, media: media.bytes, thumbnails: 0 },
      raw_counts: { total: 4, media: 4, thumbnails: 0 },
    })
    const { body } = await thumbnail(bobs)
    for (const prefix of PREFIXES) {
      expect((await ask('example.org', ADMIN.token, prefix)).json).toEqual({
        raw_bytes: { total: media.bytes + body.length, media: media.bytes, thumbnails: body.length },
        raw_counts: { total: 5, media: 4, thumbnails: 1 },
      })
    }
    const { json } = await ask('nobody.example')
    expect(json).toEqual({
      raw_bytes: { total: 0, media: 0, thumbnails: 0 },
      raw_counts: { total: 0, media: 0, thumbnails: 0 },
    })
  })

  test('is less by what is deleted, thumbnails with it', async () => {
    const bytes = await noise({ width: 210, height: 100 }).png().toBuffer()
    const before = (await ask('example.org')).json
    const media = await app.upload(bytes)
    await thumbnail(idOf(media))
    expect((await ask('example.org')).json).not.toEqual(before)
    await app.ask(`${PREFIXES[0]}/admin/purge/${media}`, { method: 'POST', token: ADMIN.token })
    expect((await ask('example.org')).json).toEqual(before)
  })
})

describe('What users use', () => {
  test('is told of each that has something, or of those that are named, with what they uploaded', async () => {
    const alice = {
      raw_bytes: { total: 60, media: 60 },
      raw_counts: { total: 3, media: 3 },
      uploaded: alices.map(mxc),
    }
    const bob = {
      raw_bytes: { total: picture.length, media: picture.length },
      raw_counts: { total: 1, media: 1 },
      uploaded: [mxc(bobs)],
    }
    expect((await ask('example.org/users')).json).toEqual({ [ALICE.userId]: alice, [BOB.userId]: bob })
    expect((await ask(`example.org/users?user_id=${BOB.userId}`)).json).toEqual({ [BOB.userId]: bob })
    const three = [BOB.userId, ALICE.userId, '@nobody:example.org'].map((id) => `user_id=${encodeURIComponent(id)}`)
    const named = await ask(`example.org/users?${three.join('&')}`)
    expect(named.json).toEqual({ [ALICE.userId]: alice, [BOB.userId]: bob })
    expect(named.headers['link']).toBeUndefined()
    expect((await ask('nobody.example/users')).json).toEqual({})
    expect((await ask(`nobody.example/users?user_id=${ALICE.userId}`)).json).toEqual({})
  })

  test('comes in pages of users, and of uploads', async () => {
    expect(await pages('example.org/users?limit=1')).toEqual([[ALICE.userId], [BOB.userId], []])
    expect(await pages('example.org/users?limit=2')).toEqual([[ALICE.userId, BOB.userId], []])
    const seen: unknown[] = []
    for (let place = ''; ;) {
      const { json } = await ask(`example.org/users?user_id=${ALICE.userId}&uploaded_limit=2&uploaded_from=${place}`)
      const { uploaded, uploaded_next: next } = json[ALICE.userId] as { uploaded: string[]; uploaded_next?: string }
      seen.push(uploaded)
      if (next === undefined) break
      place = next
    }
    expect(seen).toEqual([alices.slice(0, 2).map(mxc), alices.slice(2).map(mxc)])
    const none = (await ask('example.org/users?uploaded_limit=0')).json[BOB.userId]
    expect(none).toMatchObject({ uploaded: [], uploaded_next: '-1_', raw_counts: { total: 1 } })
  })
})

const users = async (query: string, token?: string) => {
  const { status, json } = await ask(`example.org/users-stats${query}`, token)
  expect(status).toBe(200)
  const found = json['users'] as { readonly user_id: string }[]
  return { ids: found.map((one) => one.user_id.slice(1, 2)).join(''), next: json['next_token'], total: json['total'] }
}

describe('The statistics of users', () => {
  test('have MMR’s shape', async () => {
    expect((await ask('example.org/users-stats')).json).toEqual({
      users: [
        { user_id: ALICE.userId, displayname: ALICE.userId, media_count: 3, media_length: 60 },
        { user_id: BOB.userId, displayname: BOB.userId, media_count: 1, media_length: picture.length },
      ],
      total: 2,
    })
  })

  test('are in any order, in both directions, in pages, of a time, and can be searched', async () => {
    expect(await users('?dir=f')).toEqual({ ids: 'ab', total: 2 })
    expect(await users('?dir=b')).toEqual({ ids: 'ba', total: 2 })
    expect(await users('?order_by=media_count')).toMatchObject({ ids: 'ba' })
    expect(await users('?order_by=media_count&dir=b')).toMatchObject({ ids: 'ab' })
    expect(await users('?order_by=media_length')).toMatchObject({ ids: 'ab' })
    expect(await users('?order_by=media_length&dir=b')).toMatchObject({ ids: 'ba' })
    expect(await users('?limit=1')).toEqual({ ids: 'a', next: 1, total: 2 })
    expect(await users('?limit=1&from=1')).toEqual({ ids: 'b', total: 2 })
    expect(await users('?limit=1000&from=5')).toEqual({ ids: '', total: 2 })
    expect(await users(`?from_ts=${between}`)).toEqual({ ids: 'b', total: 1 })
    expect(await users(`?until_ts=${between}`)).toEqual({ ids: 'a', total: 1 })
    expect(await users(`?from_ts=${between - 3 * DAY_MS}&until_ts=${between + DAY_MS}`)).toEqual({
      ids: 'ab',
      total: 2,
    })
    expect(await users('?search_term=ALI')).toEqual({ ids: 'a', total: 1 })
    expect(await users('?search_term=org')).toEqual({ ids: '', total: 0 })
  })

  test('are for administrators of the repository, and of that server', async () => {
    expect(await users('', LOCAL_ADMIN.token)).toMatchObject({ total: 2 })
    expect(await users('', SECRET)).toMatchObject({ total: 2 })
    const other = await ask('nobody.example/users-stats', LOCAL_ADMIN.token)
    expect(other).toMatchObject({ status: 403, json: { errcode: 'M_FORBIDDEN' } })
    expect((await ask('nobody.example/users-stats')).json).toEqual({ users: [], total: 0 })
    expect(await ask('example.org/users-stats', ALICE.token)).toMatchObject({ status: 403 })
  })
})

const known = (size: number, index: number) => ({
  size_bytes: size,
  uploaded_by: ALICE.userId,
  datastore_id: expect.any(String),
  datastore_location: expect.any(String),
  sha256_hash: createHash('sha256').update('a'.repeat(size)).digest('hex'),
  quarantined: false,
  upload_name: `${size}.txt`,
  content_type: expect.any(String),
  created_ts: Number(
    app.sql('SELECT created_at FROM media WHERE media_id = ?', alices[index] ?? '')[0]?.['created_at'],
  ),
})

describe('What is known of uploads', () => {
  test('is told of those that are named', async () => {
    const [first = '', second = ''] = alices
    const { json } = await ask(`example.org/uploads?mxc=${mxc(second)}&mxc=${mxc(first)}&mxc=${mxc('nothing')}`)
    expect(json).toEqual({ [mxc(first)]: known(10, 0), [mxc(second)]: known(20, 1) })
    const quarantined = await app.upload('to be quarantined')
    await app.ask(`${PREFIXES[0]}/admin/quarantine/${quarantined}`, { method: 'POST', token: ADMIN.token })
    const { json: after } = await ask(`example.org/uploads?mxc=mxc://${quarantined}`)
    expect(after).toEqual({ [`mxc://${quarantined}`]: expect.objectContaining({ quarantined: true, upload_name: '' }) })
    await app.ask(`${PREFIXES[0]}/admin/purge/${quarantined}`, { method: 'POST', token: ADMIN.token })
  })

  test('or of all, oldest first, in pages', async () => {
    const all = [...alices, bobs].map(mxc)
    expect(await pages('example.org/uploads')).toEqual([all])
    expect(await pages('example.org/uploads?limit=2')).toEqual([all.slice(0, 2), all.slice(2), []])
    expect(await pages('example.org/uploads?limit=3')).toEqual([all.slice(0, 3), all.slice(3)])
    const { headers } = await app.ask(`${PREFIXES[0]}/admin/usage/example.org/uploads?limit=2&access_token=${SECRET}`)
    expect(headers['link']).toMatch(/^<\?limit=2&from=\d+_[a-z0-9]+>; rel="next"$/)
  })
})

describe('A request about usage', () => {
  test.for([
    ['example.org/uploads?mxc=mxc://other.example/abc', 'mxc mxc://other.example/abc is not of example.org'],
    ['example.org/uploads?mxc=abc', 'mxc must be an MXC URI such as mxc://example.org/abc'],
    ['example.org/uploads?limit=0', 'limit must not be less than 1'],
    ['example.org/uploads?limit=10001', 'limit must not be more than 10000'],
    ['example.org/uploads?from=there', 'from must be what the answer before gave'],
    ['example.org/users?user_id=alice', 'user_id must be a user id such as @alice:example.org'],
    ['example.org/users?limit=many', 'limit must be a whole number'],
    ['example.org/users?from=alice', 'from must be a user id such as @alice:example.org'],
    ['example.org/users?uploaded_limit=-1', 'uploaded_limit must not be less than 0'],
    ['example.org/users?uploaded_from=x', 'uploaded_from must be what the answer before gave'],
    ['example.org/users-stats?dir=up', 'dir must be one of f, b'],
    ['example.org/users-stats?order_by=size', 'order_by must be one of user_id, media_count, media_length'],
    ['example.org/users-stats?limit=1001', 'limit must not be more than 1000'],
    ['example.org/users-stats?limit=-1', 'limit must not be less than 1'],
    ['example.org/users-stats?from=-1', 'from must not be less than 0'],
    ['example.org/users-stats?from_ts=-1', 'from_ts must not be less than 0'],
    ['example.org/users-stats?until_ts=now', 'until_ts must be a whole number'],
    ['example.org/users-stats?from_ts=5&until_ts=5', 'until_ts must be more than from_ts'],
    [`example.org/users-stats?search_term=${'x'.repeat(1025)}`, 'search_term must not have more than 1024 characters'],
    ['no..name', 'serverName must be a server name such as example.org'],
  ] as const)('that is wrong (%s) is told what would be right', async ([path, error]) => {
    expect(await ask(path)).toMatchObject({ status: 400, json: { errcode: 'M_INVALID_PARAM', error } })
  })

  test.for(['example.org', 'example.org/users', 'example.org/uploads'])(
    'for %s is for administrators of the repository only',
    async (path) => {
      for (const { token } of [ALICE, LOCAL_ADMIN, GUEST]) {
        expect(await ask(path, token)).toMatchObject({ status: 403 })
      }
      expect(await ask(path, 'unknown')).toMatchObject({ status: 401 })
      expect(await ask(path, SECRET)).toMatchObject({ status: 200 })
    },
  )
})

const own = async (token: string) => (await app.ask('/_matrix/media/unstable/org.matrix.msc4034/usage', { token })).json

describe('Own usage', () => {
  test('is told to everybody of themselves; zeros are left out, as in MMR', async () => {
    expect(await own(ALICE.token)).toEqual({
      'org.matrix.msc4034.storage.used': 60,
      'org.matrix.msc4034.storage.files': 3,
    })
    expect(await own(ADMIN.token)).toEqual({})
  })
})
