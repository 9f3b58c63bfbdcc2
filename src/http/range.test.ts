import fc from 'fast-check'
import { expect, test } from 'vitest'
import { rangeOf } from './range.ts'

test.each([
  ['bytes=0-0', { start: 0, end: 0 }],
  ['bytes=0-99', { start: 0, end: 99 }],
  ['bytes=10-1000', { start: 10, end: 99 }],
  ['bytes=99-', { start: 99, end: 99 }],
  ['bytes=-1', { start: 99, end: 99 }],
  ['bytes=-100', { start: 0, end: 99 }],
  ['bytes=-1000', { start: 0, end: 99 }],
  ['Bytes= 5-6 ', { start: 5, end: 6 }],
  ['bytes=100-', 'unsatisfiable'],
  ['bytes=100-200', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=0-1,3-4', undefined],
  ['bytes=0-1, -4', undefined],
  ['bytes=5-2', undefined],
  ['bytes=a-b', undefined],
  ['bytes=1-2x', undefined],
  ['bytes=-', undefined],
  ['bytes=', undefined],
  ['bytes', undefined],
  ['items=0-1', undefined],
  ['0-1', undefined],
  ['', undefined],
])('of 100 bytes %j is %j', (header, expected) => {
  expect(rangeOf(header, 100, 0)).toEqual(expected)
})

test('a range without an end is cut to what the configuration says, one with an end is not', () => {
  expect(rangeOf('bytes=10-', 100, 20)).toEqual({ start: 10, end: 29 })
  expect(rangeOf('bytes=90-', 100, 20)).toEqual({ start: 90, end: 99 })
  expect(rangeOf('bytes=10-80', 100, 20)).toEqual({ start: 10, end: 80 })
  expect(rangeOf('bytes=-80', 100, 20)).toEqual({ start: 20, end: 99 })
})

const size = fc.integer({ min: 1, max: 10_000 })
const position = fc.oneof(fc.integer({ min: 0, max: 12_000 }), fc.bigInt({ min: 0n, max: 10n ** 30n }))

test('whatever the numbers are, the part lies within the file and says what RFC 9110 says', () => {
  fc.assert(
    fc.property(size, position, fc.option(position), (bytes, first, last) => {
      const range = rangeOf(`bytes=${first}-${last ?? ''}`, bytes, 0)
      // Beyond the file and backwards at once is wrong in two ways.
      if (BigInt(first) >= bytes) return range === 'unsatisfiable' || (last !== null && range === undefined)
      if (last !== null && BigInt(last) < BigInt(first)) return range === undefined
      const end = last === null || BigInt(last) >= bytes ? bytes - 1 : Number(last)
      return typeof range === 'object' && range.start === Number(first) && range.end === end
    }),
  )
})

test('no text whatever makes a part that is not in the file', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^bytes=[-0-9, \t]{0,20}$/))
  fc.assert(
    fc.property(text, size, fc.integer({ min: 0, max: 100 }), (header, bytes, openBytes) => {
      const range = rangeOf(header, bytes, openBytes)
      if (typeof range !== 'object') return true
      return range.start >= 0 && range.start <= range.end && range.end < bytes
    }),
    { numRuns: 1000 },
  )
})

test('a header that is made to keep a pattern busy is dismissed at once', () => {
  expect(rangeOf(`bytes=0-${', '.repeat(4000)}x`, 100, 0)).toBeUndefined()
  expect(rangeOf(`bytes=${' '.repeat(16_000)}x`, 100, 0)).toBeUndefined()
})
