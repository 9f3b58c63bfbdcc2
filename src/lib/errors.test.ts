import { expect, test } from 'vitest'
import { messagesOf, StorageUnavailable } from './errors.ts'

test('administrators are told what happened, not what callers are told, and nothing twice', () => {
  const refused = new Error('connect ECONNREFUSED 127.0.0.1:9')
  const called = new Error('list bucket: ECONNREFUSED connect ECONNREFUSED 127.0.0.1:9', { cause: refused })
  const told = new StorageUnavailable('please try again', { cause: called })
  expect(messagesOf(new Error('the check broke off', { cause: told }))).toEqual(['the check broke off', called.message])
  expect(messagesOf(new StorageUnavailable('nothing else is known'))).toEqual(['nothing else is known'])
  expect(messagesOf(new AggregateError([refused, 'a word']))).toEqual([refused.message, "'a word'"])
})
