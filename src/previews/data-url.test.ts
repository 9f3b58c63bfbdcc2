import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dataOf } from './data-url.ts'

test.each([
  ['data:text/plain,Hello%20there', 'Hello there'],
  ['data:,a,b', 'a,b'],
  ['data:image/png;base64,SGVsbG8=', 'Hello'],
  ['data:image/png;BASE64 ,SGVs bG8', 'Hello'],
  ['data:image/png;base64,SGVsbG8%3D', 'Hello'],
  ['DATA:;charset=utf-8;base64,SGVsbG8=#part', 'Hello'],
  ['data:image/svg+xml;utf8,<svg ä>', '<svg ä>'],
  ['data:base64,SGVsbG8=', 'SGVsbG8='],
])('%s holds %j', (address, text) => {
  expect(dataOf(new URL(address), 1000)?.toString()).toBe(text)
})

test.each(['data:nothing', 'https://example.org/,a', 'data:image/png;base64'])('%s holds nothing', (address) => {
  expect(dataOf(new URL(address), 1000)).toBeUndefined()
})

test('Any bytes are held either way, up to the limit and no further', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.boolean(), (bytes, asBase64) => {
      const buffer = Buffer.from(bytes)
      const percent = buffer.toString('hex').replaceAll(/../g, '%$&')
      const url = new URL(asBase64 ? `data:image/png;base64,${buffer.toString('base64')}` : `data:image/png,${percent}`)
      expect(dataOf(url, bytes.length)).toEqual(buffer)
      expect(dataOf(url, bytes.length - 1)).toBeUndefined()
    }),
  )
})

test('What is longer than it could be is not decoded', () => {
  expect(dataOf(new URL(`data:image/png;base64,${'A'.repeat(5_000_000)}`), 1_000_000)).toBeUndefined()
})
