import { expect, test } from 'vitest'
import { namedPicture } from './accept.ts'

test.each([
  ['image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8', 'image/avif'],
  ['image/webp', 'image/webp'],
  ['image/webp, image/avif;q=0.9', 'image/webp'],
  ['image/avif', 'image/avif'],
  ['IMAGE/WEBP ; Q=0.5', 'image/webp'],
  ['image/webp;q=0.5, image/avif;q=0.9', 'image/avif'],
  ['image/webp;q=0, image/avif;q=0.001', 'image/avif'],
])('a client that accepts %s is given %s', (accept, type) => {
  expect(namedPicture(accept)).toBe(type)
})

test.each([
  undefined,
  '',
  '*/*',
  'image/*',
  'image/png,image/jpeg',
  'image/webp;q=0',
  'image/webp;q=2',
  'image/webp;q=x',
  'image/webpp',
  ',;,=;q',
])('a client that accepts %j is given what every client shows', (accept) => {
  expect(namedPicture(accept)).toBeUndefined()
})
