import { describe, expect, test } from 'vitest'
import { startHomeserver } from '../../test/support/homeserver.ts'
import { heldHomeservers, optionsFor } from '../../test/support/homeservers.ts'
import type { HeldHomeservers } from '../../test/support/homeservers.ts'
import type { UserCaller } from './caller.ts'
import type { HomeserverOptions } from './options.ts'

const alice = { token: 'syt_alice', userId: '@alice:example.org' }
const caller: UserCaller = { kind: 'user', ...alice, serverName: 'example.org', isGuest: false }
const address = '192.0.2.7'

async function failThreeTimes(held: HeldHomeservers, hs: HomeserverOptions) {
  for (let time = 0; time < 3; time += 1)
    await expect(held.homeservers.whoami(hs, { token: alice.token }, { address })).rejects.toThrow()
}

describe('a homeserver that fails backoffAt times in a row', () => {
  test('is not asked for half a second; clients are told when to come again, the log is told once', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 3 })
    double.addUser(alice)
    double.misbehave({ status: 502 })
    await failThreeTimes(held, hs)
    double.recover()
    held.wait(100)
    await expect(held.homeservers.whoami(hs, { token: alice.token }, { address })).rejects.toMatchObject({
      reason: 'homeserver_unavailable',
      options: { retryAfterMs: 400 },
    })
    expect(double.requests).toHaveLength(3)
    held.wait(400)
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
    expect(held.log().trim().split('\n')).toEqual([
      expect.stringContaining('gives no answer'),
      expect.stringContaining('left alone'),
      expect.stringContaining('answers again'),
    ])
  })

  test('does not keep kept answers from being used', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 3, accessTokens: { maxCacheTimeSeconds: 3600 } })
    double.addUser(alice)
    await held.homeservers.whoami(hs, { token: alice.token }, { address })
    double.misbehave('hang up')
    for (const token of ['a', 'b', 'c']) {
      await expect(held.homeservers.whoami(hs, { token }, { address })).rejects.toThrow()
    }
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
  })

  test('does not keep other homeservers from being asked', async () => {
    await using double = await startHomeserver()
    await using other = await startHomeserver({ serverName: 'other.org' })
    await using held = heldHomeservers()
    double.misbehave('hang up')
    await failThreeTimes(held, optionsFor(double, { backoffAt: 3 }))
    other.addUser({ token: 'bob', userId: '@bob:other.org' })
    const bob = await held.homeservers.whoami(optionsFor(other, { backoffAt: 3 }), { token: 'bob' }, { address })
    expect(bob.userId).toBe('@bob:other.org')
  })

  test('is asked at once where a new csApi says', async () => {
    await using broken = await startHomeserver()
    await using repaired = await startHomeserver()
    await using held = heldHomeservers()
    broken.misbehave('hang up')
    repaired.addUser(alice)
    await failThreeTimes(held, optionsFor(broken, { backoffAt: 3 }))
    const hs = optionsFor(repaired, { backoffAt: 3 })
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
  })

  test('stays left alone when something else in its configuration changes', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.misbehave('hang up')
    await failThreeTimes(held, optionsFor(double, { backoffAt: 3 }))
    const hs = optionsFor(double, { backoffAt: 3, accessTokens: { maxCacheTimeSeconds: 60 } })
    await expect(held.homeservers.whoami(hs, { token: alice.token }, { address })).rejects.toThrow(
      'has failed repeatedly',
    )
  })
})

describe('it is no failure of the homeserver', () => {
  test.each([401, 403, 429])('when it answers %i', async (status) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 3 })
    double.addUser(alice)
    double.misbehave({ status, body: { errcode: 'M_WHATEVER' } })
    await failThreeTimes(held, hs)
    await failThreeTimes(held, hs)
    double.recover()
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
  })

  test('when an ordinary user asks ten times for what only administrators may', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 3 })
    double.addUser(alice)
    for (let time = 0; time < 10; time += 1) {
      expect(await held.homeservers.isAdmin(hs, caller, { address })).toBe(false)
      held.wait(60_000)
    }
    expect(double.count('whois')).toBe(10)
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
  })

  test('that matters to other users, when its administration API fails', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 3 })
    double.addUser(alice)
    double.misbehave({ status: 500 }, 'whois')
    for (let time = 0; time < 10; time += 1) {
      await expect(held.homeservers.isAdmin(hs, caller, { address })).rejects.toThrow()
    }
    expect(double.count('whois')).toBe(3)
    expect(await held.homeservers.whoami(hs, { token: alice.token }, { address })).toMatchObject({
      userId: alice.userId,
    })
  })
})

describe('a homeserver that gives no answer', () => {
  test('is told in the log from its first failure on, with the address that was asked', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double)
    double.addUser(alice)
    const ask = () => held.homeservers.whoami(hs, { token: alice.token }, { address })
    double.misbehave({ status: 502 })
    await expect(ask()).rejects.toThrow()
    await expect(ask()).rejects.toThrow()
    expect(held.answers).toEqual(['example.org users: yes', 'example.org administrators: yes', 'example.org users: no'])
    double.recover()
    held.wait(2000)
    await ask()
    expect(held.answers.slice(3)).toEqual(['example.org users: yes'])
    expect(held.log().trim().split('\n')).toEqual([
      expect.stringMatching(
        /GET http:\/\/127\.0\.0\.1:\d+\/.*whoami: answered 502.*gives no answer; is its csApi right\?/,
      ),
      expect.stringContaining('answers again'),
    ])
  })

  test('is not told of any more, nor held to it, once it is not configured', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { backoffAt: 3 })
    double.addUser(alice)
    double.misbehave({ status: 502 })
    await failThreeTimes(held, hs)
    double.recover()
    held.homeservers.keepOnly(['example.org', 'other.example'])
    expect(held.answers.slice(3)).toEqual([])
    held.homeservers.keepOnly(['other.example'])
    expect(held.answers.slice(3)).toEqual(['example.org users: yes', 'example.org administrators: yes'])
    // Back again, it is asked at once.
    const who = await held.homeservers.whoami(hs, { token: alice.token }, { address })
    expect(who).toMatchObject({ userId: alice.userId })
  })
})
