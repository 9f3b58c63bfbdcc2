import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { startHomeserver } from '../../test/support/homeserver.ts'
import { heldHomeservers, optionsFor } from '../../test/support/homeservers.ts'
import { CallerGone } from '../lib/errors.ts'

const alice = { token: 'syt_alice', userId: '@alice:example.org' }
const address = '192.0.2.7'
const hour = { accessTokens: { maxCacheTimeSeconds: 3600 } }

describe('whose a token is', () => {
  test('is asked once in maxCacheTimeSeconds', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, hour)
    double.addUser(alice)
    await held.homeservers.whoami(hs, { token: alice.token }, { address })
    held.wait(3_599_999)
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
      token: alice.token,
    })
    expect(double.requests).toHaveLength(1)
    held.wait(1)
    await held.homeservers.whoami(hs, { token: alice.token }, { address })
    expect(double.requests).toHaveLength(2)
  })

  test('is asked each time when maxCacheTimeSeconds is 0', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(alice)
    for (let time = 0; time < 3; time += 1)
      await held.homeservers.whoami(optionsFor(double), { token: alice.token }, { address })
    expect(double.requests).toHaveLength(3)
  })

  test.each([0, 3600])(
    'is asked once by all who want to know at the same time (maxCacheTimeSeconds %i)',
    async (seconds) => {
      await using double = await startHomeserver()
      await using held = heldHomeservers()
      double.addUser(alice)
      const hs = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: seconds } })
      const callers = await Promise.all(
        Array.from({ length: 20 }, () => held.homeservers.whoami(hs, { token: alice.token }, { address })),
      )
      expect(callers.every(({ userId }) => userId === alice.userId)).toBe(true)
      expect(double.requests).toHaveLength(1)
    },
  )

  test('is kept apart by homeserver, by user and by device', async () => {
    await using double = await startHomeserver()
    await using other = await startHomeserver({ serverName: 'other.org' })
    await using held = heldHomeservers()
    const devices = ['ONE', 'TWO']
    const as = {
      token: 'as',
      sender: '@irc:example.org',
      users: { '@b:example.org': devices, '@c:example.org': devices },
    }
    double.addAppservice(as)
    other.addAppservice({ token: 'as', sender: '@irc:other.org', users: {} })
    const ask = async (userId?: string, deviceId?: string) => {
      const caller = await held.homeservers.whoami(
        optionsFor(double, hour),
        { token: 'as', userId, deviceId },
        { address },
      )
      return `${caller.userId} ${caller.deviceId ?? '-'}`
    }
    expect(await ask()).toBe('@irc:example.org -')
    expect(await ask('@b:example.org')).toBe('@b:example.org -')
    expect(await ask('@b:example.org', 'ONE')).toBe('@b:example.org ONE')
    expect(await ask('@b:example.org', 'TWO')).toBe('@b:example.org TWO')
    expect(await ask('@c:example.org')).toBe('@c:example.org -')
    const there = await held.homeservers.whoami(optionsFor(other, hour), { token: 'as' }, { address })
    expect(there.userId).toBe('@irc:other.org')
    expect(double.requests).toHaveLength(5)
    for (const user of ['@b:example.org', '@c:example.org']) await ask(user)
    expect(double.requests).toHaveLength(5)
  })

  test('is asked again after the configuration of its homeserver has changed', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(alice)
    await held.homeservers.whoami(optionsFor(double, hour), { token: alice.token }, { address })
    await held.homeservers.whoami(optionsFor(double, hour), { token: alice.token }, { address })
    expect(double.requests).toHaveLength(1)
    const changed = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: 60 } })
    await held.homeservers.whoami(changed, { token: alice.token }, { address })
    expect(double.requests).toHaveLength(2)
  })
})

describe('an unknown token', () => {
  test.each([
    [3600, 30_000],
    [10, 10_000],
  ])('is asked about again after half a minute at most (maxCacheTimeSeconds %i)', async (seconds, keptMs) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: seconds } })
    const whoami = () => held.homeservers.whoami(hs, { token: alice.token }, { address })
    await expect(whoami()).rejects.toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
    held.wait(keptMs - 1)
    await expect(whoami()).rejects.toMatchObject({ status: 401, body: { errcode: 'M_UNKNOWN_TOKEN' } })
    expect(double.requests).toHaveLength(1)
    double.addUser(alice)
    held.wait(1)
    expect(await whoami()).toMatchObject({ userId: alice.userId })
  })

  test.each([{ locked: true }, { suspended: true }])(
    'is not what a token of a user is who is %j: asked each time',
    async (state) => {
      await using double = await startHomeserver()
      await using held = heldHomeservers()
      const hs = optionsFor(double, hour)
      double.addUser({ ...alice, ...state })
      await expect(held.homeservers.whoami(hs, { token: alice.token }, { address })).rejects.toThrow()
      double.addUser(alice)
      expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
        userId: alice.userId,
      })
    },
  )
})

describe('a client that hangs up', () => {
  test('stops waiting itself, and disturbs nobody who waits for the same answer', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser(alice)
    const release = double.holdAnswers()
    const client = new AbortController()
    const hs = optionsFor(double)
    const first = held.homeservers.whoami(hs, { token: alice.token }, { address, signal: client.signal })
    const second = held.homeservers.whoami(hs, { token: alice.token }, { address })
    await vi.waitFor(() => expect(double.requests).toHaveLength(1))
    client.abort()
    await expect(first).rejects.toBeInstanceOf(CallerGone)
    release()
    expect(await second).toMatchObject({ userId: alice.userId })
    expect(double.requests).toHaveLength(1)
  })

  test('does not count as a failure of the homeserver', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 1 })
    double.addUser(alice)
    const release = double.holdAnswers()
    const gone = held.homeservers.whoami(hs, { token: alice.token }, { address, signal: AbortSignal.timeout(20) })
    await expect(gone).rejects.toBeInstanceOf(CallerGone)
    release()
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
    expect(held.log()).toBe('')
  })
})

test('on shutdown the look-ups under way end, and nothing is left open', async () => {
  await using double = await startHomeserver()
  const held = heldHomeservers()
  double.misbehave('stall')
  const waiting = expect(
    held.homeservers.whoami(optionsFor(double), { token: alice.token }, { address }),
  ).rejects.toMatchObject({
    reason: 'homeserver_unavailable',
  })
  await vi.waitFor(() => expect(double.requests).toHaveLength(1))
  await held[Symbol.asyncDispose]()
  await waiting
  await sleep(20)
  expect(process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap')).toHaveLength(0)
})
