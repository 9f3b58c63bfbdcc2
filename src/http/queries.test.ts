import { expect, test } from 'vitest'
import { Queries } from './queries.ts'

test('Queries in the same words are read once; long ones, which are seldom the same, each time', () => {
  const queries = new Queries()
  const short = 'width=96&height=96&method=crop'
  expect(queries.read(short)).toBe(queries.read(short))
  expect([...queries.read(short)].length).toBe(3)
  expect(queries.read('width=96').get('width')).toBe('96')
  const long = `url=${'x'.repeat(200)}`
  expect(queries.read(long)).not.toBe(queries.read(long))
  expect(queries.read(long).get('url')).toHaveLength(200)
})
