import { describe, expect, test, vi } from 'vitest'
import { startHomeserver } from '../../test/support/homeserver.ts'
import type { HomeserverDouble } from '../../test/support/homeserver.ts'
import { heldHomeservers, optionsFor } from '../../test/support/homeservers.ts'
import type { HeldHomeservers } from '../../test/support/homeservers.ts'
import { hashToken } from './secrets.ts'

const phone = { token: 'syt_phone', userId: '@alice:example.org' }
const laptop = { token: 'syt_laptop', userId: '@alice:example.org' }
const bob = { token: 'syt_bob', userId: '@bob:example.org' }
const address = '192.0.2.7'
const unknown = { body: { errcode: 'M_UNKNOWN_TOKEN' } }

/** Everybody's token is known and kept for an hour. */
async function everybodyKnown(double: HomeserverDouble, held: HeldHomeservers) {
  const hs = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: 3600 } })
  for (const user of [phone, laptop, bob]) {
    double.addUser(user)
    await whoami(held, hs, user)
  }
  return hs
}

function whoami(held: HeldHomeservers, hs: ReturnType<typeof optionsFor>, user: { readonly token: string }) {
  return held.homeservers.whoami(hs, { token: user.token }, { address })
}

function logout(
  held: HeldHomeservers,
  hs: ReturnType<typeof optionsFor>,
  user: { readonly token: string },
  all = false,
) {
  return held.homeservers.logout(hs, { token: user.token }, { all, address })
}

describe('a logout', () => {
  test('reaches the homeserver, and the token is worth nothing at once', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    expect(await logout(held, hs, phone)).toMatchObject({ status: 200, body: {} })
    expect(double.requests.at(-1)).toMatchObject({ method: 'POST', path: '/_matrix/client/v3/logout' })
    expect(double.requests.at(-1)?.headers).toMatchObject({ authorization: 'Bearer syt_phone', 'x-real-ip': address })
    await expect(whoami(held, hs, phone)).rejects.toMatchObject(unknown)
  })

  test('leaves the other tokens of the user alone, and tells other instances which one to forget, by its hash', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    await logout(held, hs, phone)
    const asked = double.count('whoami')
    await whoami(held, hs, laptop)
    expect(double.count('whoami')).toBe(asked)
    expect(held.forgotten).toEqual([{ kind: 'token', tokenHash: hashToken('syt_phone') }])
    expect(JSON.stringify(held.forgotten)).not.toContain('syt_phone')
  })

  test('with an unknown token is answered as the homeserver answers it', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    expect(await logout(held, optionsFor(double), phone)).toMatchObject({ status: 401, ...unknown })
  })

  test('of a locked user works', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    double.addUser({ ...phone, locked: true })
    expect(await logout(held, optionsFor(double), phone)).toMatchObject({ status: 200 })
  })

  test('whose answer got lost may have happened: the token is looked up again', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    double.misbehave('hang up', 'logout')
    await expect(logout(held, hs, phone)).rejects.toMatchObject({ reason: 'homeserver_unavailable' })
    expect(held.forgotten).toHaveLength(1)
    const asked = double.count('whoami')
    await whoami(held, hs, phone)
    expect(double.count('whoami')).toBe(asked + 1)
  })

  test.each([false, true])('during a look-up of the token: the answer of before is not kept (all: %s)', async (all) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: 3600 } })
    double.addUser(phone)
    double.addUser(laptop)
    if (all) await whoami(held, hs, phone)
    const token = all ? laptop : phone
    const release = double.holdAnswers('whoami')
    const before = whoami(held, hs, token)
    await vi.waitFor(() => expect(double.count('whoami')).toBe(all ? 2 : 1))
    await logout(held, hs, phone, all)
    release()
    expect(await before).toMatchObject({ userId: '@alice:example.org' })
    await expect(whoami(held, hs, token)).rejects.toMatchObject(unknown)
  })
})

describe('a logout of all devices', () => {
  test("makes all of the user's tokens worthless at once, and nobody else's", async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    expect(await logout(held, hs, phone, true)).toMatchObject({ status: 200 })
    await expect(whoami(held, hs, phone)).rejects.toMatchObject(unknown)
    await expect(whoami(held, hs, laptop)).rejects.toMatchObject(unknown)
    const asked = double.count('whoami')
    await whoami(held, hs, bob)
    expect(double.count('whoami')).toBe(asked)
    expect(held.forgotten).toContainEqual({ kind: 'user', userId: '@alice:example.org' })
  })

  test('works when the token was not known here before', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = optionsFor(double, { accessTokens: { maxCacheTimeSeconds: 3600 } })
    double.addUser(phone)
    double.addUser(laptop)
    await whoami(held, hs, laptop)
    await logout(held, hs, phone, true)
    await expect(whoami(held, hs, laptop)).rejects.toMatchObject(unknown)
  })

  test('of a locked user, whom the homeserver does not name, forgets everything', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    double.addUser({ token: 'syt_locked', userId: '@alice:example.org', locked: true })
    await logout(held, hs, { token: 'syt_locked' }, true)
    await expect(whoami(held, hs, laptop)).rejects.toMatchObject(unknown)
    expect(held.forgotten).toContainEqual({ kind: 'all' })
  })

  test('that the homeserver refuses leaves the other tokens of the user alone', async () => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    double.misbehave({ status: 403, body: { errcode: 'M_FORBIDDEN' } }, 'logout')
    expect(await logout(held, hs, phone, true)).toMatchObject({ status: 403, body: { errcode: 'M_FORBIDDEN' } })
    expect(held.forgotten).toEqual([{ kind: 'token', tokenHash: hashToken('syt_phone') }])
  })

  test.each(['logout', 'whoami'])('with a made-up token empties no cache, even while %s fails', async (failing) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    double.misbehave('hang up', failing)
    await expect(logout(held, hs, { token: 'made-up' }, true)).rejects.toMatchObject({
      reason: 'homeserver_unavailable',
    })
    const asked = double.count('whoami')
    await whoami(held, hs, laptop)
    expect(double.count('whoami')).toBe(asked)
  })
})

describe('what another instance says is worthless', () => {
  test.each([
    [{ kind: 'token', tokenHash: hashToken('syt_phone') } as const, { phone: true, laptop: false, bob: false }],
    [{ kind: 'user', userId: '@alice:example.org' } as const, { phone: true, laptop: true, bob: false }],
    [{ kind: 'all' } as const, { phone: true, laptop: true, bob: true }],
  ])('is looked up again, and not announced again: %j', async (forgotten, askedAgain) => {
    await using double = await startHomeserver()
    await using held = heldHomeservers()
    const hs = await everybodyKnown(double, held)
    held.homeservers.forget(forgotten)
    for (const [name, user] of Object.entries({ phone, laptop, bob })) {
      const asked = double.count('whoami')
      await whoami(held, hs, user)
      expect({ name, askedAgain: double.count('whoami') > asked }).toEqual({
        name,
        askedAgain: Reflect.get(askedAgain, name),
      })
    }
    expect(held.forgotten).toEqual([])
  })
})
