import { describe, expect, test } from 'vitest'
import { anonymous, sharedSecretCaller, userIdOf } from './caller.ts'

describe('the shared secret', () => {
  test('makes its holder the repository administrator @sharedsecret', () => {
    const caller = sharedSecretCaller({ enabled: true, token: 'correct horse' }, 'correct horse')
    expect(caller).toEqual({ kind: 'shared_secret', userId: '@sharedsecret' })
  })

  test.each(['', 'correct', 'correct horse ', 'Correct horse'])('is not %j', (token) => {
    expect(sharedSecretCaller({ enabled: true, token: 'correct horse' }, token)).toBeUndefined()
  })

  test('opens nothing when it is switched off', () => {
    expect(sharedSecretCaller({ enabled: false, token: 'correct horse' }, 'correct horse')).toBeUndefined()
  })

  test('opens nothing when it was left empty', () => {
    expect(sharedSecretCaller({ enabled: true, token: '' }, '')).toBeUndefined()
  })
})

test('an anonymous caller has no user id, all others have', () => {
  expect(userIdOf(anonymous)).toBeUndefined()
  expect(userIdOf({ kind: 'shared_secret', userId: '@sharedsecret' })).toBe('@sharedsecret')
  const user = { kind: 'user', userId: '@a:b', serverName: 'b', isGuest: false, token: 't' } as const
  expect(userIdOf(user)).toBe('@a:b')
})
