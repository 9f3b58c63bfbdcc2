import { expect, test } from 'vitest'
import { readJxlHeader } from './jxl-size.ts'

/** A codestream that begins with these fields: [value, bits], the first in the lowest bits. */
function codestream(...fields: readonly (readonly [value: number, bits: number])[]): Buffer {
  const bits = fields.flatMap(([value, count]) =>
    Array.from({ length: count }, (_, at) => Math.floor(value / 2 ** at) % 2),
  )
  const bytes = Buffer.alloc(2 + Math.ceil(bits.length / 8) + 4)
  bytes.writeUInt16BE(0xff0a)
  for (const [at, bit] of bits.entries()) bytes[2 + (at >> 3)] = (bytes[2 + (at >> 3)] ?? 0) | (bit << (at & 7))
  return bytes
}

const box = (type: string, contents: Buffer) => {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + contents.length)
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, contents])
}
const long = (type: string, contents: Buffer) => {
  const head = Buffer.alloc(16)
  head.writeUInt32BE(1)
  head.write(type, 4, 'latin1')
  head.writeBigUInt64BE(BigInt(16 + contents.length), 8)
  return Buffer.concat([head, contents])
}

const plain = codestream([0, 1], [0, 2], [299, 9], [0, 3], [0, 2], [399, 9])

test.each<[string, Buffer, readonly [number, number]]>([
  ['eighths of small sides', codestream([1, 1], [11, 5], [0, 3], [19, 5]), [160, 96]],
  ['a width by its ratio', codestream([1, 1], [8, 5], [5, 3]), [128, 72]],
  ['sides of different lengths', codestream([0, 1], [1, 2], [4999, 13], [0, 3], [2, 2], [99_999, 18]), [100_000, 5000]],
  ['the largest sides', codestream([0, 1], [3, 2], [2 ** 30 - 1, 30], [7, 3]), [2 ** 31, 2 ** 30]],
  ['a container', Buffer.concat([box('JXL ', Buffer.from('0d0a870a', 'hex')), box('jxlc', plain)]), [400, 300]],
  [
    'metadata first',
    Buffer.concat([box('Exif', Buffer.alloc(500)), long('xml ', Buffer.alloc(9)), long('jxlc', plain)]),
    [400, 300],
  ],
  [
    'parts',
    Buffer.concat([box('ftyp', Buffer.alloc(4)), box('jxlp', Buffer.concat([Buffer.alloc(4), plain]))]),
    [400, 300],
  ],
])('is read from %s', (_, bytes, [width, height]) => {
  expect(readJxlHeader(bytes)).toMatchObject({ width, height })
})

test.each<[string, Buffer]>([
  ['nothing', Buffer.alloc(0)],
  ['an end in its middle', codestream([0, 1], [3, 2]).subarray(0, 4)],
  ['a box of no length', Buffer.concat([Buffer.alloc(4), Buffer.from('ftyp'), Buffer.alloc(50)])],
  ['boxes without a picture', box('ftyp', Buffer.alloc(50))],
  ['a box with something else', box('jxlc', Buffer.alloc(50))],
])('is not read from %s', (_, bytes) => {
  expect(() => readJxlHeader(bytes)).toThrow()
})

const size = [
  [1, 1],
  [8, 5],
  [1, 3],
] as const

test.each<[string, boolean, readonly (readonly [number, number])[]]>([
  ['colours as usual', true, [[1, 1]]],
  [
    '8 bits and no more channels',
    true,
    [
      [0, 1],
      [0, 1],
      [0, 1],
      [0, 2],
      [0, 1],
      [0, 2],
    ],
  ],
  ['another size for display', true, [[0, 1], [1, 1], [5, 3], [1, 1], ...size, [0, 2], [0, 1], [0, 2], [0, 1], [0, 2]]],
  [
    'a preview',
    false,
    [
      [0, 1],
      [1, 1],
      [0, 3],
      [0, 1],
      [1, 1],
    ],
  ],
  [
    'an animation',
    false,
    [
      [0, 1],
      [1, 1],
      [0, 3],
      [0, 1],
      [0, 1],
      [1, 1],
    ],
  ],
  [
    'numbers with a point',
    false,
    [
      [0, 1],
      [0, 1],
      [1, 1],
      [0, 2],
      [7, 4],
      [0, 1],
      [0, 2],
    ],
  ],
  [
    '12 bits',
    false,
    [
      [0, 1],
      [0, 1],
      [0, 1],
      [2, 2],
      [0, 1],
      [0, 2],
    ],
  ],
  [
    'transparency',
    false,
    [
      [0, 1],
      [0, 1],
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
    ],
  ],
])('whether a JPEG can hold one with %s: %s', (_, plain, fields) => {
  expect(readJxlHeader(codestream(...size, ...fields)).plain).toBe(plain)
})
