/** Who may do what: every route of the administration, by every kind of caller, answers as docs/admin-api.md says. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Route } from '../../src/http/route.ts'
import { type Served, servedBy } from '../../src/http/rights.ts'
import { routes } from '../../src/http/routes.ts'
import { ALICE, type Answered, BOB, GUEST, startApp, type TestApp } from '../support/app.ts'
import { type HomeserverDouble, startHomeserver } from '../support/homeserver.ts'

// Also the homeserver's: it is asked for the media of rooms with the caller's token.
const ADMIN = { token: 'syt_admin_Ag5h', userId: '@admin:example.org', admin: true }
const LOCAL = { token: 'syt_local_Uj7t', userId: '@local:example.org', admin: true }
const OTHER = { token: 'syt_other_Ty9b', userId: '@other:second.example', admin: true }
const SECRET = 'shared_secret_Zk3m'

/** As the columns of the page's table are called. */
type Column = 'others' | 'own' | 'homeserver' | 'repository'
type Rights = Readonly<Record<Column, boolean>>

/** Who calls, with which token, and which column is about them, or how they are always answered. */
type CallerRow = readonly [who: string, token: string | undefined, expected: Column | readonly [number, string]]

const CALLERS: readonly CallerRow[] = [
  ['nobody', undefined, [401, 'M_MISSING_TOKEN']],
  ['an unknown token', 'syt_nobody', [401, 'M_UNKNOWN_TOKEN']],
  ['a guest', GUEST.token, [403, 'M_GUEST_ACCESS_FORBIDDEN']],
  ['another user', BOB.token, 'others'],
  ['the owner', ALICE.token, 'own'],
  ['an administrator of the homeserver', LOCAL.token, 'homeserver'],
  ["another homeserver's administrator", OTHER.token, 'others'],
  ['an administrator of the repository', ADMIN.token, 'repository'],
  ['the shared secret', SECRET, 'repository'],
]

/** What the page (docs/admin-api.md, of which another test says that it is the current one) says of a route. */
function rightsOf(route: Route): Rights {
  const served = servedBy(route)
  const isFor = (...kinds: readonly Served[]) => served.some((one) => kinds.includes(one))
  return {
    others: isFor('everybody'),
    own: isFor('everybody', 'owner'),
    homeserver: isFor('everybody', 'homeserver', 'homeserver where allowed'),
    repository: true,
  }
}

const nameOf = ({ methods, paths }: Route) => `${methods.join(' ')} ${paths[0] ?? ''}`

let app: TestApp
let second: HomeserverDouble
beforeAll(async () => {
  second = await startHomeserver({ serverName: 'second.example' })
  second.addUser(OTHER)
  app = await startApp({
    config: { admins: [ADMIN.userId], sharedSecretAuth: { enabled: true, token: SECRET } },
    homeserver: { adminApiKind: 'synapse' },
    otherHomeservers: [{ name: 'second.example', csApi: second.url, adminApiKind: 'synapse' }],
  })
  for (const user of [ADMIN, LOCAL]) app.homeserver.addUser(user)
})
afterAll(async () => {
  await app[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
})

/** Asks the route about media that Alice has just uploaded. Values of other parameters need only be of their kind. */
async function ask(route: Route, token: string | undefined): Promise<Answered & { readonly media: string }> {
  const media = await app.upload(randomBytes(40))
  const [server = '', mediaId = ''] = media.split('/')
  const values: Readonly<Record<string, string>> = {
    server,
    origin: server,
    serverName: server,
    mediaId,
    userId: ALICE.userId,
    user_id: ALICE.userId,
    roomId: '!room:example.org',
    taskId: '1',
    before_ts: '1',
    mxc: `mxc://${server}/${mediaId}`,
  }
  const path = (route.paths[0] ?? '').replaceAll(/:(\w+)/g, (_, name: string) =>
    encodeURIComponent(values[name] ?? '1'),
  )
  const query = new URLSearchParams()
  for (const [name, { fallback }] of Object.entries(route.description?.query ?? {})) {
    if (!fallback) query.set(name, values[name] ?? '1')
  }
  const host = token === OTHER.token ? 'second.example' : 'example.org'
  const asked = { method: route.methods[0] ?? '', headers: { host }, ...(token === undefined ? {} : { token }) }
  return Object.assign(await app.ask(`${path}?${query.toString()}`, asked), { media })
}

/** Whether it is about the homeserver addressed, whatever else it names: its own administrators may ask it. */
const isOfAddressed = ({ paths }: Route) =>
  /^\/_synapse\/|\/admin\/purge\/quarantined$|\/admin\/\w+\/room\//.test(paths[0] ?? '')

const described = routes.filter((route) => route.description && route.who !== 'anyone')

describe.each(CALLERS)('The administration, asked by %s,', (_, token, expected) => {
  test.each(described.map((route) => [nameOf(route), route] as const))(
    'answers as is documented: %s',
    async (__, route) => {
      const { status, json, media } = await ask(route, token)
      if (token === OTHER.token && isOfAddressed(route)) {
        expect([401, 500]).not.toContain(status)
        const download = await app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token })
        expect(download.status, 'media of other homeservers stay as they are').toBe(200)
        return
      }
      const refusal = typeof expected === 'string' ? refusalOf(route, expected) : expected
      if (refusal) expect([status, json['errcode']]).toEqual(refusal)
      else expect([401, 403, 500], JSON.stringify(json)).not.toContain(status)
    },
  )
})

const refusalOf = (route: Route, column: Column) =>
  rightsOf(route)[column] ? undefined : ([403, 'M_FORBIDDEN'] as const)

test("However many users who are no administrators ask, the homeserver's breaker stays closed and tokens are looked up", async () => {
  const users = Array.from({ length: 40 }, (_, index) => ({
    token: `syt_many_${index}`,
    userId: `@many${index}:example.org`,
  }))
  for (const user of users) app.homeserver.addUser(user)
  const media = await app.upload(randomBytes(40))
  for (const { token } of users) {
    const { status } = await app.ask(`/_matrix/media/unstable/download/${media}`, { method: 'DELETE', token })
    expect(status).toBe(403)
  }
  const { status } = await app.ask(`/_matrix/media/unstable/download/${media}`, {
    method: 'DELETE',
    token: LOCAL.token,
  })
  expect(status).toBe(200)
})

test('A bot that administers the homeserver is asked about once for many calls, and anew after its logout', async () => {
  const bot = { token: 'syt_bot_Rf4w', userId: '@bot:example.org', admin: true }
  app.homeserver.addUser(bot)
  const before = app.homeserver.count('whois')
  for (let call = 0; call < 20; call++) {
    const media = await app.upload(randomBytes(40))
    const path = `/_matrix/media/unstable/admin/quarantine/${media}`
    expect((await app.ask(path, { method: 'POST', token: bot.token })).status).toBe(200)
  }
  expect(app.homeserver.count('whois')).toBe(before + 1)
  await app.ask('/_matrix/client/v3/logout', { method: 'POST', token: bot.token })
  app.homeserver.addUser(bot)
  await app.ask(`/_matrix/media/unstable/admin/quarantine/example.org/abc`, { method: 'POST', token: bot.token })
  expect(app.homeserver.count('whois')).toBe(before + 2)
})
