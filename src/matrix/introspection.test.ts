import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type HomeserverDouble, startHomeserver } from '../../test/support/homeserver.ts'
import { type HeldHomeservers, heldHomeservers, optionsFor } from '../../test/support/homeservers.ts'
import { CLIENT, HOMESERVER, type IntrospectionDouble, startIntrospection } from '../../test/support/introspection.ts'
import type { UserCaller } from './caller.ts'
import type { IntrospectionOptions } from './options.ts'

const API = 'urn:matrix:org.matrix.msc2967.client:api:*'
const ADMIN = 'urn:synapse:admin:*'
const address = '192.0.2.7'

let double: HomeserverDouble
let provider: IntrospectionDouble
let held: HeldHomeservers
beforeEach(async () => {
  double = await startHomeserver()
  provider = await startIntrospection()
  held = heldHomeservers()
})
afterEach(async () => {
  await held[Symbol.asyncDispose]()
  await provider[Symbol.asyncDispose]()
  await double[Symbol.asyncDispose]()
})

function callerOf(token: string): UserCaller {
  return { kind: 'user', userId: '@root:example.org', serverName: 'example.org', isGuest: false, token }
}

function options(changes: Partial<IntrospectionOptions> = {}) {
  return optionsFor(double, {
    introspection: { endpoint: provider.endpoint, ...CLIENT, scopes: [ADMIN], ...changes },
  })
}

const isAdmin = (token: string, of = options()) => held.homeservers.isAdmin(of, callerOf(token), { address })

describe('With an introspection endpoint, an administrator', () => {
  test('is whose token has the scope of one, in whatever company; the homeserver is not asked', async () => {
    provider.add({ token: 'mat_both', scope: `${API} ${ADMIN} urn:matrix:org.matrix.msc2967.client:device:A` })
    provider.add({ token: 'mat_user', scope: API })
    provider.add({ token: 'mat_ended', scope: ADMIN, active: false })
    provider.add({ token: 'mat_more', scope: `${ADMIN}:no other.${ADMIN}` })
    double.addUser({ token: 'mat_user', userId: '@root:example.org', admin: true })
    expect(await isAdmin('mat_both')).toBe(true)
    expect(await isAdmin('mat_user')).toBe(false)
    expect(await isAdmin('mat_more')).toBe(false)
    expect(await isAdmin('mat_ended')).toBe(false)
    expect(double.requests).toEqual([])
    const [{ headers, form } = { headers: {}, form: new URLSearchParams() }] = provider.requests
    expect(headers['content-type']).toBe('application/x-www-form-urlencoded')
    expect(Object.fromEntries(form)).toEqual({ token: 'mat_both', token_type_hint: 'access_token' })
  })

  test('is found with a client id and secret of any characters, or with the secret of the homeserver', async () => {
    provider.add({ token: 'mat_root', scope: ADMIN })
    for (const login of [CLIENT, HOMESERVER]) expect(await isAdmin('mat_root', options(login))).toBe(true)
  })

  test('is whose token has one of the scopes that are configured', async () => {
    provider.add({ token: 'mat_mas', scope: 'urn:mas:admin' })
    expect(await isAdmin('mat_mas')).toBe(false)
    expect(await isAdmin('mat_mas', options({ scopes: [ADMIN, 'urn:mas:admin'] }))).toBe(true)
  })

  test('is asked for once a minute, or sooner when the token ends, and again after a logout', async () => {
    provider.add({ token: 'mat_long', scope: ADMIN })
    provider.add({ token: 'mat_short', scope: ADMIN, exp: Date.parse('2030-01-01T00:00:10Z') / 1000 })
    provider.add({ token: 'mat_brief', scope: ADMIN, expires_in: 10 })
    const tokens = ['mat_long', 'mat_short', 'mat_brief']
    for (let time = 0; time < 3; time++) await Promise.all(tokens.map((token) => isAdmin(token)))
    expect(provider.requests).toHaveLength(3)
    held.wait(10_000)
    await Promise.all(tokens.map((token) => isAdmin(token)))
    expect(provider.requests).toHaveLength(5)
    double.addUser({ token: 'mat_long', userId: '@root:example.org' })
    await held.homeservers.logout(options(), { token: 'mat_long' }, { all: false, address })
    await isAdmin('mat_long')
    expect(provider.requests).toHaveLength(6)
  })

  test('is nobody whose token the endpoint does not know, such as an appservice, and the token is not dead for that', async () => {
    double.addUser({ token: 'as_bridge', userId: '@root:example.org' })
    const of = optionsFor(double, { ...options(), accessTokens: { maxCacheTimeSeconds: 3600 } })
    await held.homeservers.whoami(of, { token: 'as_bridge' }, { address })
    expect(await isAdmin('as_bridge', of)).toBe(false)
    await held.homeservers.whoami(of, { token: 'as_bridge' }, { address })
    expect(double.count('whoami')).toBe(1)
  })
})

describe('An introspection endpoint', () => {
  test('that does not take our login makes nobody an administrator, and the log says what to check', async () => {
    provider.add({ token: 'mat_root', scope: ADMIN })
    expect(await isAdmin('mat_root', options({ clientSecret: 'wrong' }))).toBe(false)
    expect(held.log()).toContain('check introspection.endpoint, clientId and clientSecret')
    expect(held.log()).toContain('invalid_client')
    expect(held.log()).not.toContain('mat_root')
  })

  test('that fails leaves it unknown; after many failures it is left alone, and tokens are looked up all the same', async () => {
    provider.add({ token: 'mat_root', scope: ADMIN })
    double.addUser({ token: 'mat_root', userId: '@root:example.org' })
    provider.fail(500)
    for (let time = 0; time < 12; time++) {
      await expect(isAdmin('mat_root')).rejects.toMatchObject({ reason: 'homeserver_unavailable' })
    }
    expect(provider.requests).toHaveLength(10)
    await held.homeservers.whoami(options(), { token: 'mat_root' }, { address })
    provider.fail(0)
    held.wait(60_000)
    expect(await isAdmin('mat_root')).toBe(true)
  })

  test('that says no however often is not left alone: no user can keep administrators from being known', async () => {
    for (let user = 0; user < 30; user++) expect(await isAdmin(`mat_user_${user}`)).toBe(false)
    provider.add({ token: 'mat_root', scope: ADMIN })
    expect(await isAdmin('mat_root')).toBe(true)
  })
})
