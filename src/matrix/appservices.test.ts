import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { startHomeserver } from '../../test/support/homeserver.ts'
import { heldHomeservers, optionsFor } from '../../test/support/homeservers.ts'
import { LocalAppservices } from './appservices.ts'

const address = '192.0.2.7'
const irc = {
  id: 'irc',
  asToken: 'as_irc',
  senderUserId: '@ircbot:example.org',
  userNamespaces: [{ regex: '@irc_.+:example\\.org' }, { regex: '@one:example.org|@two:example.org' }],
}
const local = { useLocalAppserviceConfig: true, appservices: [irc], maxCacheTimeSeconds: 0 }

async function started() {
  const double = await startHomeserver()
  const held = heldHomeservers()
  double.addAppservice({ token: 'as_irc', sender: '@asked:example.org', users: { '@asked_too:example.org': ['D'] } })
  return {
    double,
    held,
    ask: (credentials: { token: string; userId?: string; deviceId?: string }, accessTokens: object = local) =>
      held.homeservers.whoami(optionsFor(double, { accessTokens }), credentials, { address }),
    [Symbol.asyncDispose]: async () => {
      await held[Symbol.asyncDispose]()
      await double[Symbol.asyncDispose]()
    },
  }
}

describe('the token of an appservice in the configuration is answered for without the homeserver', () => {
  test.each([
    ['nobody', undefined, '@ircbot:example.org'],
    ['its own bot', '@ircbot:example.org', '@ircbot:example.org'],
    ['a user in its first namespace', '@irc_bob:example.org', '@irc_bob:example.org'],
    ['a user in its second namespace', '@two:example.org', '@two:example.org'],
  ])('when it names %s, also without a token cache', async (_, userId, expected) => {
    await using server = await started()
    const caller = await server.ask({ token: 'as_irc', ...(userId && { userId }) })
    expect(caller).toMatchObject({ kind: 'user', userId: expected, serverName: 'example.org', isGuest: false })
    expect(caller.assertedUserId).toBe(userId)
    expect(server.double.requests).toHaveLength(0)
  })
})

describe('the homeserver is asked', () => {
  test.each([
    ['when the id only begins as a namespace does', { token: 'as_irc', userId: '@irc_bob:example.org.evil.net' }],
    ['when the id only ends as a namespace does', { token: 'as_irc', userId: '@x@irc_bob:example.org' }],
    ['when the id only ends as one of two alternatives does', { token: 'as_irc', userId: '@x@two:example.org' }],
    ['when the user is in no namespace', { token: 'as_irc', userId: '@alice:example.org' }],
    ['when the named user is none', { token: 'as_irc', userId: '' }],
    ['when a device is named', { token: 'as_irc', userId: '@irc_bob:example.org', deviceId: 'D' }],
    ['when the token is another', { token: 'as_ircx' }],
    ['when the token is a part', { token: 'as_' }],
  ])('%s', async (_, credentials) => {
    await using server = await started()
    const outcome = await server.ask(credentials).catch((error: unknown) => error)
    expect(server.double.requests).toHaveLength(1)
    expect(outcome).toMatchObject({ name: 'RefusedByHomeserver' })
  })

  test('when useLocalAppserviceConfig is off', async () => {
    await using server = await started()
    const caller = await server.ask({ token: 'as_irc' }, { ...local, useLocalAppserviceConfig: false })
    expect(caller.userId).toBe('@asked:example.org')
  })

  test('when the appservice belongs to another homeserver', async () => {
    await using server = await started()
    const elsewhere = { ...irc, senderUserId: '@ircbot:other.org', userNamespaces: [{ regex: '@.*' }] }
    const accessTokens = { ...local, appservices: [elsewhere] }
    expect((await server.ask({ token: 'as_irc' }, accessTokens)).userId).toBe('@asked:example.org')
    const there = server.ask({ token: 'as_irc', userId: '@bob:other.org' }, accessTokens)
    await expect(there).rejects.toMatchObject({ name: 'RefusedByHomeserver' })
  })
})

test('an empty asToken is nobody’s, not even that of an empty token', () => {
  const accessTokens = { ...local, appservices: [{ ...irc, asToken: '' }] }
  const appservices = new LocalAppservices(pino({ level: 'silent' }))
  expect(appservices.userOf({ name: 'example.org', accessTokens }, { token: '' })).toBeUndefined()
})

test('a namespace that is no regular expression is named in the log, once, and the others work', async () => {
  await using server = await started()
  const accessTokens = {
    ...local,
    appservices: [{ ...irc, userNamespaces: [{ regex: '@irc_(' }, ...irc.userNamespaces] }],
  }
  for (let time = 0; time < 2; time += 1) {
    expect(await server.ask({ token: 'as_irc', userId: '@irc_bob:example.org' }, accessTokens)).toMatchObject({
      userId: '@irc_bob:example.org',
    })
  }
  expect(server.held.log().trim().split('\n')).toHaveLength(1)
  expect(server.held.log()).toContain('@irc_(')
})

test('a changed list is used at once', async () => {
  await using server = await started()
  await server.ask({ token: 'as_irc', userId: '@irc_bob:example.org' })
  const accessTokens = { ...local, appservices: [{ ...irc, userNamespaces: [] }] }
  const whoami = server.ask({ token: 'as_irc', userId: '@irc_bob:example.org' }, accessTokens)
  await expect(whoami).rejects.toMatchObject({ name: 'RefusedByHomeserver' })
})
