import { expect, test } from 'vitest'
import type { Caller, UserCaller } from '../matrix/caller.ts'
import { type AuthParts, authenticate, type Who } from './auth.ts'
import type { Call } from './call.ts'

const user = (name: string, more: Partial<UserCaller> = {}): UserCaller => ({
  kind: 'user',
  userId: `@${name}:example.org`,
  serverName: 'example.org',
  isGuest: false,
  token: name,
  ...more,
})

/** Lets somebody in, or not, where `@root` administers the repository and `@local` the homeserver. */
async function enter(token: string, who: Who, asked: string[] = []) {
  const call = {
    request: { headers: { authorization: `Bearer ${token}` }, url: '/' },
    main: { sharedSecretAuth: { enabled: true, token: 'secret' }, admins: ['@root:example.org'] },
    homeserver: { name: 'example.org' },
    administers: undefined,
  }
  const isAdmin = async (_: unknown, caller: Caller) => {
    asked.push(String('userId' in caller && caller.userId))
    return 'userId' in caller && caller.userId === '@local:example.org'
  }
  const whoami = async () => user(token, { isGuest: token === 'guest' })
  const requestLimits = { admitToken: () => {}, countWrongToken: () => {} }
  const parts = { homeservers: { known: () => undefined, whoami, isAdmin }, requestLimits }
  await authenticate(parts as unknown as AuthParts, call as unknown as Call, who)
  return call.administers
}

test.each([
  ['homeserver_admin', 'root', 'repository'],
  ['homeserver_admin', 'secret', 'repository'],
  ['homeserver_admin', 'local', 'homeserver'],
  ['repository_admin', 'root', 'repository'],
  ['repository_admin', 'secret', 'repository'],
  ['user', 'root', undefined],
] as const)('A route for %s lets %s in, as an administrator of the %s', async (who, token, administers) => {
  expect(await enter(token, who)).toBe(administers)
})

test.each([
  ['homeserver_admin', 'alice', 'forbidden', 'administrators of example.org or of the repository'],
  ['repository_admin', 'local', 'forbidden', 'administrators of the repository'],
  ['homeserver_admin', 'guest', 'guest', 'Guests'],
  ['repository_admin', 'guest', 'guest', 'Guests'],
  ['user', 'guest', 'guest', 'Guests'],
] as const)('A route for %s refuses %s: %s', async (who, token, reason, message) => {
  await expect(enter(token, who)).rejects.toMatchObject({ reason, message: expect.stringContaining(message) })
})

test('The homeserver is asked about nobody whom the configuration names, nor where its word does not count', async () => {
  const asked: string[] = []
  await enter('root', 'homeserver_admin', asked)
  await enter('secret', 'homeserver_admin', asked)
  await enter('alice', 'repository_admin', asked).catch(() => {})
  await enter('alice', 'user', asked)
  expect(asked).toEqual([])
  await enter('local', 'homeserver_admin', asked)
  expect(asked).toEqual(['@local:example.org'])
})
