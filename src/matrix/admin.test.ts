import { describe, expect, test } from 'vitest'
import { startHomeserver } from '../../test/support/homeserver.ts'
import { heldHomeservers, optionsFor } from '../../test/support/homeservers.ts'
import { anonymous } from './caller.ts'
import type { UserCaller } from './caller.ts'

const root = { token: 'syt_root', userId: '@root:example.org', admin: true }
const alice = { token: 'syt_alice', userId: '@alice:example.org' }
const address = '192.0.2.7'

function callerOf(
  user: { readonly token: string; readonly userId: string },
  more: Partial<UserCaller> = {},
): UserCaller {
  return { kind: 'user', userId: user.userId, serverName: 'example.org', isGuest: false, token: user.token, ...more }
}

describe('the administrator of a homeserver', () => {
  test.each([
    ['synapse', '/_synapse/admin/v1/whois/@media.repo.admin.check:example.org'],
    ['dendrite', '/_matrix/client/v3/admin/whois/@media.repo.admin.check:example.org'],
    ['matrix', '/_matrix/client/v3/admin/whois/@media.repo.admin.check:example.org'],
  ] as const)('is asked for as %s answers it, and no other user is one', async (kind, path) => {
    await using double = await startHomeserver({ kind })
    await using held = heldHomeservers()
    double.addUser(root)
    double.addUser(alice)
    const hs = optionsFor(double, { adminApiKind: kind })
    expect(await held.homeservers.isAdmin(hs, callerOf(root), { address })).toBe(true)
    expect(await held.homeservers.isAdmin(hs, callerOf(alice), { address })).toBe(false)
    expect(double.requests[0]).toMatchObject({ method: 'GET', path })
    expect(double.requests[0]?.headers).toMatchObject({ authorization: 'Bearer syt_root', 'x-forwarded-for': address })
  })

  test('is found behind server names with a port or an IPv6 address', async () => {
    await using double = await startHomeserver({ serverName: '[::1]:8448' })
    await using held = heldHomeservers()
    double.addUser({ ...root, userId: '@root:[::1]:8448' })
    const caller = callerOf({ ...root, userId: '@root:[::1]:8448' })
    expect(await held.homeservers.isAdmin(optionsFor(double), caller, { address })).toBe(true)
    expect(double.requests[0]?.path).toBe('/_synapse/admin/v1/whois/@media.repo.admin.check:[::1]:8448')
  })

  test('is asked for once a minute, and once by all who ask at the same time', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(root)
    double.addUser(alice)
    const hs = optionsFor(double)
    const ask = () =>
      Promise.all([root, root, alice, alice].map((user) => held.homeservers.isAdmin(hs, callerOf(user), { address })))
    expect(await ask()).toEqual([true, true, false, false])
    held.wait(59_999)
    expect(await ask()).toEqual([true, true, false, false])
    expect(double.requests).toHaveLength(2)
    held.wait(1)
    await ask()
    expect(double.requests).toHaveLength(4)
  })

  test('is no longer known after a logout', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(root)
    const hs = optionsFor(double)
    await held.homeservers.isAdmin(hs, callerOf(root), { address })
    await held.homeservers.logout(hs, { token: root.token }, { all: false, address })
    const isAdmin = held.homeservers.isAdmin(hs, callerOf(root), { address })
    await expect(isAdmin).rejects.toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
  })

  test.each([
    ['the user was logged out everywhere', { kind: 'user', userId: root.userId } as const],
    ['another instance says that everything is to be forgotten', { kind: 'all' } as const],
  ])('is asked for again after %s', async (_, forgotten) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(root)
    const hs = optionsFor(double)
    await held.homeservers.isAdmin(hs, callerOf(root), { address })
    held.homeservers.forget(forgotten)
    await held.homeservers.isAdmin(hs, callerOf(root), { address })
    expect(double.requests).toHaveLength(2)
  })

  test('is nobody without asking: anonymous callers, guests, users of other servers', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double)
    double.addUser(root)
    expect(await held.homeservers.isAdmin(hs, anonymous, { address })).toBe(false)
    expect(await held.homeservers.isAdmin(hs, callerOf(root, { isGuest: true }), { address })).toBe(false)
    const elsewhere = callerOf({ ...root, userId: '@root:other.org' })
    expect(await held.homeservers.isAdmin(hs, elsewhere, { address })).toBe(false)
    expect(double.requests).toHaveLength(0)
  })

  test('is the holder of the shared secret, without asking', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const caller = { kind: 'shared_secret', userId: '@sharedsecret' } as const
    expect(await held.homeservers.isAdmin(optionsFor(double), caller, { address })).toBe(true)
    expect(double.requests).toHaveLength(0)
  })

  test('is asked for in the name of the user for whom an appservice acts', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addAppservice({ token: 'as', sender: '@irc:example.org', users: { '@irc_bob:example.org': [] } })
    const caller = callerOf({ token: 'as', userId: '@irc_bob:example.org' }, { assertedUserId: '@irc_bob:example.org' })
    expect(await held.homeservers.isAdmin(optionsFor(double), caller, { address })).toBe(false)
    expect(double.requests[0]?.query.get('user_id')).toBe('@irc_bob:example.org')
  })
})

describe('when the homeserver cannot tell who its administrator is,', () => {
  test('that is nobody if adminApiKind is wrong, and the log says what to check', async () => {
    await using double = await startHomeserver({ kind: 'matrix' })
    await using held = heldHomeservers()
    double.addUser(root)
    expect(await held.homeservers.isAdmin(optionsFor(double), callerOf(root), { address })).toBe(false)
    expect(held.log()).toContain('check adminApiKind')
  })

  test.each(['garbage', 'hang up', { status: 500 }] as const)(
    'that is unknown, not nobody, if it fails (%j)',
    async (trouble) => {
      await using double = await startHomeserver()
      await using held = heldHomeservers()
      double.addUser(root)
      const hs = optionsFor(double)
      double.misbehave(trouble)
      const isAdmin = held.homeservers.isAdmin(hs, callerOf(root), { address })
      await expect(isAdmin).rejects.toMatchObject({ reason: 'homeserver_unavailable' })
      double.recover()
      expect(await held.homeservers.isAdmin(hs, callerOf(root), { address })).toBe(true)
    },
  )

  test('because the token is dead, the token is looked up again, however long it was to be kept', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: 3600 } })
    double.addUser(root)
    await held.homeservers.whoami(hs, { token: root.token }, { address })
    double.misbehave({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
    await expect(held.homeservers.isAdmin(hs, callerOf(root), { address })).rejects.toMatchObject({ status: 401 })
    await expect(held.homeservers.whoami(hs, { token: root.token }, { address })).rejects.toMatchObject({ status: 401 })
  })
})

describe('what a homeserver supports', () => {
  test('is what it says, with authenticated media (v1.11) added, asked without a token once a minute', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double)
    const expected = {
      versions: ['r0.6.1', 'v1.1', 'v1.10', 'v1.11'],
      unstable_features: { 'org.example.feature': true },
    }
    expect(await held.homeservers.versions(hs, { address })).toEqual(expected)
    held.wait(59_999)
    expect(await held.homeservers.versions(hs, {})).toEqual(expected)
    expect(double.requests).toHaveLength(1)
    expect(double.requests[0]?.headers).not.toHaveProperty('authorization')
    held.wait(1)
    await held.homeservers.versions(hs, {})
    expect(double.requests).toHaveLength(2)
  })

  test('names v1.11 once', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.misbehave({ status: 200, body: { versions: ['v1.11', 'v1.12'] } })
    const versions = await held.homeservers.versions(optionsFor(double), {})
    expect(versions).toEqual({ versions: ['v1.11', 'v1.12'], unstable_features: {} })
  })

  test.each(['garbage', 'hang up', { status: 404 }, { status: 200, body: {} }] as const)(
    'is unknown when the homeserver answers nothing of the kind (%j), and that is not kept',
    async (trouble) => {
      await using double = await startHomeserver()
      await using held = heldHomeservers()
      const hs = optionsFor(double)
      double.misbehave(trouble)
      await expect(held.homeservers.versions(hs, {})).rejects.toMatchObject({ reason: 'homeserver_unavailable' })
      double.recover()
      expect(await held.homeservers.versions(hs, {})).toMatchObject({ versions: expect.arrayContaining(['v1.1']) })
    },
  )
})
