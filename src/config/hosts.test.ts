import { expect, test } from 'vitest'
import { hostRules } from './hosts.ts'

const rules = (lists: { ignoredHosts?: string[]; onlyHosts?: string[] }) =>
  hostRules({ ignoredHosts: [], onlyHosts: [], ...lists }, ['Own.example'])

test('Without lists every server is allowed', () => {
  expect(rules({})('any.example')).toBe(true)
})

test.each([
  'bad.example',
  'BAD.example',
  'bad.example.',
  'bad.example:8448',
  'bad.example.:443',
  'ports.example:1',
  'PORTS.example.:1',
  '[2001:DB8::1]',
  '[2001:db8::1]:8448',
])('An ignored host is ignored however it is written: %s', (name) => {
  expect(rules({ ignoredHosts: ['Bad.Example', 'ports.example:1', '[2001:db8::1]'] })(name)).toBe(false)
})

test.each(['good.example', 'sub.bad.example', 'notbad.example', 'ports.example', 'ports.example:2', '[2001:db8::2]'])(
  'and no other with it: %s',
  (name) => {
    expect(rules({ ignoredHosts: ['Bad.Example', 'ports.example:1', '[2001:db8::1]'] })(name)).toBe(true)
  },
)

test('With onlyHosts, those and our own homeservers are allowed, as they stand there', () => {
  const isAllowed = rules({ onlyHosts: ['Friend.example', 'other.example:8448'] })
  for (const name of ['friend.example', 'FRIEND.example', 'other.example:8448', 'own.example']) {
    expect([name, isAllowed(name)]).toEqual([name, true])
  }
  for (const name of ['else.example', 'friend.example:1', 'friend.example.', 'other.example', 'sub.friend.example']) {
    expect([name, isAllowed(name)]).toEqual([name, false])
  }
})

test('What is ignored stays so although it is in onlyHosts', () => {
  const isAllowed = rules({ onlyHosts: ['a.example', 'b.example'], ignoredHosts: ['b.example'] })
  expect(['a.example', 'b.example', 'c.example'].map(isAllowed)).toEqual([true, false, false])
})
