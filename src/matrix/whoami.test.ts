import { describe, expect, test } from 'vitest'
import { startHomeserver } from '../../test/support/homeserver.ts'
import type { Trouble } from '../../test/support/homeserver.ts'
import { heldHomeservers, optionsFor } from '../../test/support/homeservers.ts'

const alice = { token: 'syt_alice', userId: '@alice:example.org', deviceId: 'PHONE' }
const address = '192.0.2.7'

describe('a token', () => {
  test("is its user's, and the homeserver sees who asked", async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(alice)
    const caller = await held.homeservers.whoami(optionsFor(double), { token: alice.token }, { address })
    expect(caller).toEqual({
      kind: 'user',
      userId: '@alice:example.org',
      serverName: 'example.org',
      isGuest: false,
      deviceId: 'PHONE',
      token: 'syt_alice',
    })
    expect(double.requests).toHaveLength(1)
    expect(double.requests[0]).toMatchObject({ method: 'GET', path: '/_matrix/client/v3/account/whoami' })
    expect(double.requests[0]?.query.size).toBe(0)
    expect(double.requests[0]?.headers).toMatchObject({
      authorization: 'Bearer syt_alice',
      'x-forwarded-for': address,
      'x-real-ip': address,
      'user-agent': 'Cellarium',
    })
  })

  test.each([{ is_guest: true }, { 'org.matrix.msc3069.is_guest': true }])(
    'of a guest is known by %j',
    async (guest) => {
      await using double = await startHomeserver()
      await using held = heldHomeservers()
      double.misbehave({ status: 200, body: { user_id: '@1:example.org', ...guest } })
      const caller = await held.homeservers.whoami(optionsFor(double), { token: 'guest' }, { address })
      expect(caller.isGuest).toBe(true)
    },
  )

  test.each(['', 'new\nline', 'sp ace', 'umläut', 'nul\0'])(
    '%j is none, and the homeserver is not asked',
    async (token) => {
      await using double = await startHomeserver()
      await using held = heldHomeservers()
      const whoami = held.homeservers.whoami(optionsFor(double), { token }, { address })
      await expect(whoami).rejects.toMatchObject({ reason: 'unknown_token' })
      expect(double.requests).toHaveLength(0)
    },
  )

  test('that comes from something that is no IP address is asked about all the same, without it', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(alice)
    await held.homeservers.whoami(optionsFor(double), { token: alice.token }, { address: 'evil\r\nx: y' })
    expect(double.requests[0]?.headers).not.toHaveProperty('x-forwarded-for')
  })

  test('never stands in the log', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 1 })
    double.misbehave('hang up')
    await expect(held.homeservers.whoami(hs, { token: 'syt_secret' }, { address })).rejects.toThrow()
    expect(held.log()).toContain('left alone')
    expect(held.log()).not.toContain('syt_secret')
  })
})

test.each(['', '/', '//', '/behind/a/proxy', '/behind/a/proxy/'])('a csApi that ends in "%s" works', async (end) => {
  await using double = await startHomeserver({ pathPrefix: end.replace(/\/+$/, '') })
  await using held = heldHomeservers()
  double.addUser(alice)
  const hs = optionsFor(double, { csApi: double.url.replace(/\/behind.*/, '') + end })
  expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({ userId: alice.userId })
})

describe('a refusal reaches the client in the words of the homeserver:', () => {
  test.each([
    ['unknown token', {}, 401, { errcode: 'M_UNKNOWN_TOKEN' }],
    ['soft logout', { softLoggedOut: true }, 401, { errcode: 'M_UNKNOWN_TOKEN', soft_logout: true }],
    ['locked user', { locked: true }, 401, { errcode: 'M_USER_LOCKED', soft_logout: true }],
    ['suspended user', { suspended: true }, 403, { errcode: 'M_USER_SUSPENDED' }],
  ])('%s', async (_, state, status, body) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    if (Object.keys(state).length > 0) double.addUser({ ...alice, ...state })
    const whoami = held.homeservers.whoami(optionsFor(double), { token: alice.token }, { address })
    await expect(whoami).rejects.toMatchObject({ name: 'RefusedByHomeserver', status, body })
  })

  test.each([
    ['user it may not act as', { userId: '@alice:example.org' }, 403, 'M_FORBIDDEN'],
    ['unknown device', { userId: '@irc_bob:example.org', deviceId: 'LOST' }, 400, 'M_UNKNOWN_DEVICE'],
  ])('appservice with a %s', async (_, assertion, status, errcode) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addAppservice({ token: 'as', sender: '@irc:example.org', users: { '@irc_bob:example.org': ['BRIDGE'] } })
    const whoami = held.homeservers.whoami(optionsFor(double), { token: 'as', ...assertion }, { address })
    await expect(whoami).rejects.toMatchObject({ name: 'RefusedByHomeserver', status, body: { errcode } })
  })
})

describe('an appservice', () => {
  test('acts as the user and device it names, when the homeserver agrees', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addAppservice({ token: 'as', sender: '@irc:example.org', users: { '@irc_bob:example.org': ['BRIDGE'] } })
    const credentials = { token: 'as', userId: '@irc_bob:example.org', deviceId: 'BRIDGE' }
    const caller = await held.homeservers.whoami(optionsFor(double), credentials, { address })
    expect(caller).toMatchObject({
      userId: '@irc_bob:example.org',
      deviceId: 'BRIDGE',
      assertedUserId: '@irc_bob:example.org',
    })
  })

  test('is its bot when it names nobody', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addAppservice({ token: 'as', sender: '@irc:example.org', users: {} })
    const caller = await held.homeservers.whoami(optionsFor(double), { token: 'as' }, { address })
    expect(caller).toMatchObject({ userId: '@irc:example.org' })
    expect(caller.assertedUserId).toBeUndefined()
  })

  test('is what it claims to be only if it is one: an ordinary user who names another stays who they are', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(alice)
    const credentials = { token: alice.token, userId: '@admin:example.org' }
    const caller = await held.homeservers.whoami(optionsFor(double), credentials, { address })
    expect(caller.userId).toBe('@alice:example.org')
    expect(caller.assertedUserId).toBeUndefined()
  })
})

describe('the homeserver is called unavailable, never the token unknown, when', () => {
  test.each<[string, Trouble]>([
    ['it answers 500', { status: 500, body: { errcode: 'M_UNKNOWN_TOKEN' } }],
    ['it answers 503 without JSON', { status: 503, body: 'down for maintenance' }],
    ['it redirects', { status: 302, headers: { location: 'http://127.0.0.1:1/' } }],
    ['it answers 404', { status: 404, body: { errcode: 'M_UNRECOGNIZED' } }],
    ['a proxy in front of it refuses with a page', { status: 403, body: '<h1>Forbidden</h1>' }],
    ['a proxy in front of it refuses with JSON of its own', { status: 401, body: { error: 'login required' } }],
    ['its success is not JSON', 'garbage'],
    ['its success is no object', { status: 200, body: [] }],
    ['its success names no user', { status: 200, body: { user: 'alice' } }],
    ['its success names no valid user', { status: 200, body: { user_id: 'alice' } }],
    [
      'its answer is longer than 1 MiB',
      { status: 200, body: { user_id: alice.userId, padding: 'x'.repeat(2 * 1024 * 1024) } },
    ],
    ['it hangs up', 'hang up'],
  ])('%s', async (_, trouble) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(alice)
    const hs = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: 3600 } })
    double.misbehave(trouble)
    const whoami = held.homeservers.whoami(hs, { token: alice.token }, { address })
    const cause = expect.objectContaining({ message: expect.stringContaining(double.url) })
    await expect(whoami).rejects.toMatchObject({ reason: 'homeserver_unavailable', options: { cause } })
    double.recover()
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
  })

  test('it does not answer within clientServerTimeoutSeconds', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.misbehave('stall')
    const hs = optionsFor(double, { timeouts: { clientServerTimeoutSeconds: 0.05 } })
    const whoami = held.homeservers.whoami(hs, { token: alice.token }, { address })
    await expect(whoami).rejects.toMatchObject({ reason: 'homeserver_unavailable' })
  })

  test('nothing listens there', async () => {
    await using held = heldHomeservers()
    const double = await startHomeserver()
    await double[Symbol.asyncDispose]()
    const whoami = held.homeservers.whoami(optionsFor(double), { token: alice.token }, { address })
    await expect(whoami).rejects.toMatchObject({ reason: 'homeserver_unavailable' })
  })

  test('csApi is no address', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const whoami = held.homeservers.whoami(
      optionsFor(double, { csApi: 'synapse:8008' }),
      { token: alice.token },
      { address },
    )
    await expect(whoami).rejects.toMatchObject({ reason: 'homeserver_unavailable' })
  })

  test.each<[string, Trouble, number | undefined]>([
    ['in seconds', { status: 429, headers: { 'retry-after': '7' } }, 7000],
    ['as a date', { status: 429, headers: { 'retry-after': 'Tue, 01 Jan 2030 00:00:09 GMT' } }, 9000],
    ['in the body', { status: 429, body: { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 1234 } }, 1234],
    ['not at all', { status: 429, body: 'slow down' }, undefined],
  ])('it gets too many requests; when to try again is passed on (%s)', async (_, trouble, retryAfterMs) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.misbehave(trouble)
    const whoami = held.homeservers.whoami(optionsFor(double), { token: alice.token }, { address })
    const expected = { reason: 'homeserver_unavailable', options: retryAfterMs === undefined ? {} : { retryAfterMs } }
    await expect(whoami).rejects.toMatchObject(expected)
  })

  test('the user it knows is of another server: the message names csApi, but not its address', async () => {
    await using double = await startHomeserver({ serverName: 'other.org' })
    await using held = heldHomeservers()
    double.addUser({ token: 'bob', userId: '@bob:other.org' })
    const whoami = held.homeservers.whoami(optionsFor(double, { name: 'example.org' }), { token: 'bob' }, { address })
    const error: unknown = await whoami.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ reason: 'homeserver_unavailable', message: expect.stringContaining('csApi') })
    expect(error).toMatchObject({ message: expect.not.stringContaining(double.url) })
  })
})
