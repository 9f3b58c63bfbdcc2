import { expect, test } from 'vitest'
import { freshForMs } from './freshness.ts'

const MINUTES = 60_000
const of = (cacheControl?: string, age?: string) =>
  freshForMs({ headers: { 'cache-control': cacheControl, age } }) / MINUTES

test('A preview holds for an hour, or for as long as its page keeps, up to a day', () => {
  expect(of()).toBe(60)
  expect(of('public, max-age=7200')).toBe(120)
  expect(of('public, max-age=7200', '1800')).toBe(90)
  expect(of('max-age=60')).toBe(60)
  expect(of('max-age=7200', '999999')).toBe(60)
  expect(of('MAX-AGE="31536000"')).toBe(24 * 60)
})

test('A page that is not to be kept gives a preview for an hour all the same', () => {
  for (const never of [
    'no-store',
    'no-cache, max-age=7200',
    'private, max-age=7200',
    'nonsense',
    'max-age=',
    'max-age=-7200',
  ]) {
    expect(of(never)).toBe(60)
  }
})
