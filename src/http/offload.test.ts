import { expect, test } from 'vitest'
import { proxyAnswersAlike } from './offload.ts'

const ETAG = '"abc"'
const PART = { start: 0, end: 9 }

test('a proxy answers the whole file, and one range, as we would', () => {
  expect(proxyAnswersAlike({}, undefined, ETAG)).toBe(true)
  expect(proxyAnswersAlike({ 'if-none-match': '"other"' }, undefined, ETAG)).toBe(true)
  expect(proxyAnswersAlike({ range: 'bytes=0-9' }, PART, ETAG)).toBe(true)
  expect(proxyAnswersAlike({ range: 'bytes=0-9', 'if-range': ETAG }, PART, ETAG)).toBe(true)
})

test('a range that we answer with the whole file stays ours', () => {
  expect(proxyAnswersAlike({ range: 'bytes=0-1,5-6' }, undefined, ETAG)).toBe(false)
  expect(proxyAnswersAlike({ range: 'bytes=0-9', 'if-range': '"other"' }, undefined, ETAG)).toBe(false)
})

test.each(['if-match', 'if-modified-since', 'if-unmodified-since', 'if-range'])(
  '%s, which a proxy judges by what it knows itself, stays ours',
  (name) => {
    expect(proxyAnswersAlike({ [name]: 'Sat, 21 Nov 2026 13:14:40 GMT' }, undefined, ETAG)).toBe(false)
  },
)
