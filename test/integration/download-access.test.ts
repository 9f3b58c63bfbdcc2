import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ALICE, type Answered, BOB, GUEST, LOCKED, startApp, SUSPENDED, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'

const ADMIN = { token: 'syt_admin_Hh4s', userId: '@admin:example.org' }
const SECRET = 'shared_secret_Jk1z'
const BASE = {
  admins: [ADMIN.userId],
  federation: { ignoredHosts: ['Ignored.example'] },
  sharedSecretAuth: { enabled: true, token: SECRET },
}
const FROZEN = { ...BASE, repo: { freezeUnauthenticatedMedia: true } }
const OPEN = { ...BASE, repo: { freezeUnauthenticatedMedia: false } }

let app: TestApp
beforeAll(async () => {
  app = await startApp({ config: FROZEN })
  app.homeserver.addUser(ADMIN)
})
afterAll(() => app[Symbol.asyncDispose]())
beforeEach(() => app.reload(FROZEN))

const CLIENT = '/_matrix/client/v1/media'
const LEGACY = ['/_matrix/media/r0', '/_matrix/media/v1', '/_matrix/media/v3']
const KINDS = ['download', 'thumbnail'] as const

type Headers = Record<string, string>
/** Asks for a download or a (too damaged) thumbnail in each way there is: paths × methods. */
async function askEveryWay(
  paths: readonly string[],
  media: string,
  token?: string,
  headers: Headers = {},
): Promise<Answered[]> {
  const asked = paths.flatMap((path) =>
    KINDS.flatMap((kind) =>
      ['GET', 'HEAD'].map((method) => ({ path: `${path}/${kind}/${media}?width=9&height=9`, method })),
    ),
  )
  return await Promise.all(
    asked.map(({ path, method }) => app.ask(path, { method, headers, ...(token === undefined ? {} : { token }) })),
  )
}
const statusesOf = (answers: readonly Answered[]) => [...new Set(answers.map(({ status }) => status))]
const legacyStatus = async (media: string, token?: string) =>
  (await app.ask(`/_matrix/media/v3/download/${media}`, token === undefined ? {} : { token })).status

/** A picture that was fetched from `origin` before, with its thumbnail. */
async function cached(origin: string): Promise<string> {
  const body = await noise({ width: 64, height: 64 }).png().toBuffer()
  const media = await app.upload(body)
  const [, mediaId = ''] = media.split('/')
  expect((await app.ask(`${CLIENT}/thumbnail/${media}?width=32&height=32`, { token: ALICE.token })).status).toBe(200)
  app.sql('update media set origin = ?, authenticated_at = null where media_id = ?', origin, mediaId)
  return `${origin}/${mediaId}`
}

const CONDITIONS: readonly Headers[] = [{ 'if-none-match': '*' }, { range: 'bytes=0-1' }, { range: 'bytes=99-' }]

describe('Frozen media', () => {
  test('are not found on the older paths without a token, and the answer says why', async () => {
    const media = await app.upload(randomBytes(50))
    expect(statusesOf(await askEveryWay(LEGACY, media))).toEqual([404])
    const { json } = await app.ask(`/_matrix/media/v3/download/${media}`)
    expect(json).toEqual({
      errcode: 'M_NOT_FOUND',
      error: 'authentication is required to download this media',
      mr_errcode: 'M_NOT_FOUND',
    })
  })

  test('are had on the older paths with a valid token, in the header or the address', async () => {
    const media = await app.upload(randomBytes(50))
    expect(await legacyStatus(media, BOB.token)).toBe(200)
    expect(await legacyStatus(media, GUEST.token)).toBe(200)
    expect(await legacyStatus(media, SECRET)).toBe(200)
    expect(await legacyStatus(`${media}?access_token=${BOB.token}`)).toBe(200)
  })

  test('are not found there with a token that is worth nothing', async () => {
    const media = await app.upload(randomBytes(50))
    for (const token of ['syt_nobody', LOCKED.token, SUSPENDED.token, '\u00fc']) {
      expect(await legacyStatus(media, token)).toBe(404)
    }
    expect(
      (await app.ask(`/_matrix/media/v3/download/${media}`, { headers: { authorization: 'Basic abc' } })).status,
    ).toBe(404)
  })

  test('are no "304 Not Modified" and no range there either', async () => {
    const body = randomBytes(50)
    const media = await app.upload(body)
    const etag = `"${createHash('sha256').update(body).digest('hex')}"`
    for (const headers of [{ 'if-none-match': etag }, ...CONDITIONS]) {
      expect(statusesOf(await askEveryWay(LEGACY, media, undefined, headers))).toEqual([404])
    }
  })

  test('were frozen or not when they were uploaded; switching later changes only what comes later', async () => {
    const frozen = await app.upload(randomBytes(50))
    await app.reload(OPEN)
    const open = await app.upload(randomBytes(50))
    expect([await legacyStatus(frozen), await legacyStatus(open)]).toEqual([404, 200])
    await app.reload(FROZEN)
    const frozenAgain = await app.upload(randomBytes(50))
    expect([await legacyStatus(frozen), await legacyStatus(open), await legacyStatus(frozenAgain)]).toEqual([
      404, 200, 404,
    ])
    expect(statusesOf(await askEveryWay([CLIENT], open, BOB.token))).toContain(200)
  })

  test('do not freeze what has the same content, nor are they opened by it; thumbnails neither', async () => {
    const picture = await noise({ width: 64, height: 64 }).png().toBuffer()
    await app.reload(OPEN)
    const open = await app.upload(picture)
    expect(statusesOf(await askEveryWay(LEGACY, open))).toEqual([200])
    await app.reload(FROZEN)
    // Alice herself would get her old address again, and with it what it was.
    expect(await app.upload(picture)).toBe(open)
    const frozen = await app.upload(picture, { token: BOB.token })
    expect(statusesOf(await askEveryWay([CLIENT], frozen, BOB.token))).toEqual([200])
    expect(statusesOf(await askEveryWay(LEGACY, frozen))).toEqual([404])
    expect(statusesOf(await askEveryWay(LEGACY, open))).toEqual([200])
  })

  test('can be frozen afterwards, and are then as if they always had been', async () => {
    await app.reload(OPEN)
    const media = await app.upload(randomBytes(50))
    const [, mediaId = ''] = media.split('/')
    expect([await legacyStatus(media), await legacyStatus(media)]).toEqual([200, 200])
    app.sql('update media set authenticated_at = 1 where media_id = ?', mediaId)
    expect([await legacyStatus(media), await legacyStatus(media, BOB.token)]).toEqual([404, 200])
  })

  test('of a reserved id are frozen or not when their content comes', async () => {
    await app.reload(OPEN)
    const created = await app.ask('/_matrix/media/v1/create', { method: 'POST', token: ALICE.token })
    const media = String(created.json['content_uri']).slice('mxc://'.length)
    const early = app.ask(`/_matrix/media/v3/download/${media}`)
    await app.reload(FROZEN)
    await app.ask(`/_matrix/media/v3/upload/${media}`, { method: 'PUT', token: ALICE.token, body: 'frozen' })
    expect([(await early).status, await legacyStatus(media)]).toEqual([404, 404])
  })
})

test('Media are frozen on one homeserver and not on another, as their files say', async () => {
  const other = { name: 'open.example', csApi: 'http://127.0.0.1:9' }
  await using both = await startApp({
    config: FROZEN,
    otherHomeservers: [other],
    domainFiles: { '1-open.yaml': { homeserver: other.name, repo: { freezeUnauthenticatedMedia: false } } },
  })
  const upload = (host: string) => both.upload(randomBytes(50), { token: SECRET, host })
  const [frozen, open] = [await upload('example.org'), await upload(other.name)]
  for (const host of ['example.org', other.name]) {
    const statuses = [frozen, open].map(
      async (media) => (await both.ask(`/_matrix/media/v3/download/${media}`, { headers: { host } })).status,
    )
    expect(await Promise.all(statuses)).toEqual([404, 200])
  }
})

describe('Media that are not frozen', () => {
  test('are had by anybody on the older paths, whatever the token, and without a word to the homeserver', async () => {
    await app.reload(OPEN)
    const media = await app.upload(randomBytes(50))
    const before = app.homeserver.requests.length
    for (const token of [undefined, 'syt_nobody', LOCKED.token, GUEST.token, BOB.token]) {
      expect(await legacyStatus(media, token)).toBe(200)
    }
    expect(app.homeserver.requests.length).toBe(before)
  })
})

describe('The newer paths', () => {
  test('want a token, whatever is asked for', async () => {
    const media = await app.upload(randomBytes(50))
    const wanted = [
      media,
      'example.org/unknown',
      'example.org/mxc%3A%2F%2Fexample.org%2Fabc',
      'example.org/..%2F',
      'x/%00',
    ]
    for (const one of wanted) {
      const [answer, ...rest] = await askEveryWay([CLIENT], one)
      expect(statusesOf(rest)).toEqual([401])
      expect(answer).toMatchObject({ status: 401, json: { errcode: 'M_MISSING_TOKEN' } })
    }
  })

  test('say 304 only to those who may have the file', async () => {
    const media = await app.upload(randomBytes(50))
    const headers = { 'if-none-match': '*' }
    expect(statusesOf(await askEveryWay([CLIENT], media, undefined, headers))).toEqual([401])
    expect(statusesOf(await askEveryWay([CLIENT], media, 'syt_nobody', headers))).toEqual([401])
    expect((await app.ask(`${CLIENT}/download/${media}`, { token: BOB.token, headers })).status).toBe(304)
  })

  test('are open to guests', async () => {
    const media = await app.upload(randomBytes(50))
    expect((await app.ask(`${CLIENT}/download/${media}`, { token: GUEST.token })).status).toBe(200)
  })
})

describe('Quarantined media', () => {
  test('are found by nobody, in no way', async () => {
    await app.reload({ ...OPEN, quarantine: { replaceThumbnails: false } })
    const media = await app.upload(randomBytes(50))
    const [, mediaId = ''] = media.split('/')
    expect(await legacyStatus(media)).toBe(200)
    app.sql('update media set quarantined_at = 1 where media_id = ?', mediaId)
    for (const headers of [{}, ...CONDITIONS]) {
      for (const token of [ALICE.token, ADMIN.token, SECRET]) {
        expect(statusesOf(await askEveryWay([CLIENT, ...LEGACY], media, token, headers))).toEqual([404])
      }
    }
  })
})

describe('An address that can name no media', () => {
  test.each([
    ['dots for a server', '../abc'],
    ['encoded dots', '%2e%2e/abc'],
    ['dots for an id', 'example.org/..'],
    ['encoded dots for an id', 'example.org/%2e%2e'],
    ['an encoded slash in the id', 'example.org/a%2Fb'],
    ['an encoded path in the id', 'example.org/..%2F..%2Fetc%2Fpasswd'],
    ['an encoded path as the server', '..%2F..%2Fetc/passwd'],
    ['a NUL', 'example.org/abc%00'],
    ['a newline', 'example.org/abc%0a'],
    ['a letter that is none of ASCII', 'example.org/%c3%bc'],
    ['a whole MXC URI as the id', 'example.org/mxc%3A%2F%2Fexample.org%2Fabc'],
    ['an id of 256 letters', `example.org/${'a'.repeat(256)}`],
    ['an id of 3000 letters', `example.org/${'a'.repeat(3000)}`],
    ['a server name of 256 letters', `${'a'.repeat(256)}/abc`],
    ['a user in the server name', 'user@example.org/abc'],
    ['a port of six digits', 'example.org:123456/abc'],
    ['brackets without an address', '[abc]/abc'],
    ['a backslash', 'example.org/a%5Cb'],
    ['a percent sign, encoded twice', 'example.org/%252e%252e'],
    ['no id', 'example.org/'],
    ['no server', '/abc'],
  ])('(%s) is not found', async (_, wanted) => {
    const before = app.homeserver.count('whoami')
    for (const path of [CLIENT, ...LEGACY]) {
      const answer = await app.ask(`${path}/download/${wanted}`, { token: ALICE.token })
      expect(answer).toMatchObject({
        status: 404,
        json: { errcode: expect.stringMatching(/^M_(NOT_FOUND|UNRECOGNIZED)$/) },
      })
    }
    // Asked once for the newer path; the older ones need not know who asks.
    expect(app.homeserver.count('whoami')).toBeLessThanOrEqual(before + 1)
  })
})

describe('Media of other servers', () => {
  test.each(['elsewhere.org/abc', 'elsewhere.org:8448/abc', '[::1]:8448/abc', '192.0.2.1/abc', 'EXAMPLE.ORG/abc'])(
    'that are not here are not found: %s',
    async (media) => {
      for (const query of ['', '?allow_remote=false', '?allow_remote=true', '?allow_redirect=true']) {
        const answer = await app.ask(`/_matrix/media/v3/download/${media}${query}`)
        expect(answer).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
      }
    },
  )

  const lists = [
    { name: 'ignoredHosts names', hiding: { ignoredHosts: ['Ignored.example'] } },
    { name: 'onlyHosts does not name', hiding: { onlyHosts: ['friend.example'] } },
  ] as const
  test.each(lists)('that $name are for administrators of the repository only', async ({ hiding }) => {
    await app.reload({ ...OPEN, federation: { ignoredHosts: [] } })
    const hidden = await cached('ignored.example')
    expect(statusesOf(await askEveryWay(LEGACY, hidden))).toEqual([200])
    await app.reload({ ...OPEN, federation: hiding })
    for (const headers of [{}, ...CONDITIONS]) {
      for (const token of [ALICE.token, GUEST.token]) {
        expect(statusesOf(await askEveryWay([CLIENT, ...LEGACY], hidden, token, headers))).toEqual([404])
      }
      expect(statusesOf(await askEveryWay(LEGACY, hidden, undefined, headers))).toEqual([404])
    }
    for (const token of [ADMIN.token, SECRET]) {
      expect(statusesOf(await askEveryWay([CLIENT, ...LEGACY], hidden, token))).toEqual([200])
    }
    const quarantine = `/_matrix/media/unstable/admin/quarantine/${hidden}`
    expect(await app.ask(quarantine, { method: 'POST', token: ADMIN.token })).toMatchObject({ status: 200 })
    expect(await app.ask(quarantine, { method: 'DELETE', token: ADMIN.token })).toMatchObject({ status: 200 })
    await app.reload({ ...OPEN, federation: {} })
    expect(statusesOf(await askEveryWay([CLIENT, ...LEGACY], hidden, ALICE.token))).toEqual([200])
  })

  test('that onlyHosts names are had as ever, and so are our own', async () => {
    await app.reload({ ...OPEN, federation: { onlyHosts: ['friend.example'] } })
    const [own, friends] = [await app.upload(randomBytes(50)), await cached('friend.example')]
    expect([await legacyStatus(own), await legacyStatus(friends)]).toEqual([200, 200])
    await app.reload({ ...OPEN, federation: { onlyHosts: ['friend.example'], ignoredHosts: ['friend.example'] } })
    expect([await legacyStatus(own), await legacyStatus(friends)]).toEqual([200, 404])
  })
})
