import { expect, test } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

test('A misspelt option is recognised', () => {
  const known = ['maxBytes', 'minBytes', 'maxPending', 'reportedMaxBytes']
  expect(nearest('maxbyte', known)).toBe('maxBytes')
  expect(nearest('pendingMax', ['maxPending'])).toBe('maxPending')
  expect(nearest('x', [])).toBeUndefined()
})

test('The distance counts inserted, deleted and replaced letters', () => {
  expect(editDistance('kitten', 'sitting')).toBe(3)
  expect(editDistance('', 'abc')).toBe(3)
  expect(editDistance('abc', 'abc')).toBe(0)
})
