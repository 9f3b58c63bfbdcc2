import { expect, test } from 'vitest'
import { readBmpHeader } from './bmp-header.ts'
import { bmpBytes, decodeBmp } from './bmp-pixels.ts'

interface Made {
  readonly width: number
  readonly height: number
  readonly bits: number
  readonly compression?: number
  readonly masks?: readonly number[]
  readonly palette?: readonly (readonly [number, number, number])[]
  readonly headerBytes?: number
  /** The pixels as they lie in the file. */
  readonly data: readonly number[]
}

function bmp({ width, height, bits, compression = 0, masks = [], palette = [], headerBytes = 40, data }: Made): Buffer {
  const rest = headerBytes === 40 ? masks.length * 4 : 0
  const head = Buffer.alloc(14 + headerBytes + rest)
  head.write('BM')
  head.writeUInt32LE(headerBytes, 14)
  head.writeInt32LE(width, 18)
  head.writeInt32LE(height, 22)
  head.writeUInt16LE(1, 26)
  head.writeUInt16LE(bits, 28)
  head.writeUInt32LE(compression, 30)
  head.writeUInt32LE(palette.length, 46)
  for (const [index, mask] of masks.entries()) head.writeUInt32LE(mask, 54 + 4 * index)
  const colours = Buffer.from(palette.flatMap(([red, green, blue]) => [blue, green, red, 0]))
  head.writeUInt32LE(head.length + colours.length, 10)
  return Buffer.concat([head, colours, Buffer.from(data)])
}

function decode(bytes: Buffer): readonly number[] {
  return [...decodeBmp(bytes, readBmpHeader(bytes)).data]
}

const RED = [255, 0, 0]
const GREEN = [0, 255, 0]
const BLUE = [0, 0, 255]
const BLACK = [0, 0, 0]
const palette = [
  [0, 0, 0],
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
] as const

test('rows are read from the bottom up, and with a negative height from the top down', () => {
  const data = [0, 0, 255, 0, 0, 255, 0, 0]
  expect(decode(bmp({ width: 1, height: 2, bits: 24, data }))).toEqual([...GREEN, ...RED])
  expect(decode(bmp({ width: 1, height: -2, bits: 24, data }))).toEqual([...RED, ...GREEN])
})

test.each<[string, Made, readonly number[]]>([
  ['1 bit', { width: 3, height: 1, bits: 1, palette, data: [0b0100_0000, 0, 0, 0] }, [...BLACK, ...RED, ...BLACK]],
  [
    '2 bits',
    { width: 4, height: 1, bits: 2, palette, data: [0b0001_1011, 0, 0, 0] },
    [...BLACK, ...RED, ...GREEN, ...BLUE],
  ],
  ['4 bits', { width: 3, height: 1, bits: 4, palette, data: [0x12, 0x30, 0, 0] }, [...RED, ...GREEN, ...BLUE]],
  ['8 bits', { width: 2, height: 1, bits: 8, palette, data: [3, 1, 0, 0] }, [...BLUE, ...RED]],
  ['16 bits, of which five each', { width: 2, height: 1, bits: 16, data: [0x00, 0x7c, 0x1f, 0x00] }, [...RED, ...BLUE]],
  [
    '16 bits with masks',
    { width: 2, height: 1, bits: 16, compression: 3, masks: [0xf800, 0x7e0, 0x1f], data: [0xe0, 7, 0, 0xf8] },
    [...GREEN, ...RED],
  ],
  ['32 bits, of which the last eight are nothing', { width: 1, height: 1, bits: 32, data: [0, 255, 0, 0] }, GREEN],
  [
    '32 bits with masks in the other order',
    { width: 1, height: 1, bits: 32, compression: 3, masks: [0xff, 0xff00, 0xff0000], data: [255, 0, 0, 0] },
    RED,
  ],
  [
    '32 bits with transparency',
    {
      width: 1,
      height: 1,
      bits: 32,
      compression: 3,
      headerBytes: 108,
      masks: [0xff0000, 0xff00, 0xff, 0xff000000],
      data: [0, 0, 255, 128],
    },
    [...RED, 128],
  ],
  [
    'transparency that is 0 everywhere, and so means nothing',
    {
      width: 1,
      height: 1,
      bits: 32,
      compression: 6,
      masks: [0xff0000, 0xff00, 0xff, 0xff000000],
      data: [0, 0, 255, 0],
    },
    [...RED, 255],
  ],
  [
    'masks of ten bits',
    { width: 1, height: 1, bits: 32, compression: 3, masks: [0x3ff00000, 0xffc00, 0x3ff], data: [0xff, 3, 0, 0] },
    BLUE,
  ],
  [
    'runs of bytes',
    { width: 4, height: 2, bits: 8, compression: 1, palette, data: [3, 1, 1, 2, 0, 0, 0, 4, 0, 1, 2, 3, 0, 1] },
    [...BLACK, ...RED, ...GREEN, ...BLUE, ...RED, ...RED, ...RED, ...GREEN],
  ],
  [
    'runs of half bytes',
    { width: 7, height: 1, bits: 4, compression: 2, palette, data: [3, 0x12, 0, 4, 0x31, 0x20, 0, 1] },
    [...RED, ...GREEN, ...RED, ...BLUE, ...RED, ...GREEN, ...BLACK],
  ],
  [
    'runs with a jump',
    { width: 3, height: 1, bits: 8, compression: 1, palette, data: [1, 1, 0, 2, 1, 0, 1, 3, 0, 1] },
    [...RED, ...BLACK, ...BLUE],
  ],
])('pixels of %s', (_, made, pixels) => {
  expect(decode(bmp(made))).toEqual(pixels)
})

test.each<[string, Partial<Made>]>([
  ['no width', { width: 0 }],
  ['a negative width', { width: -5 }],
  ['a side that no program writes', { height: -70_000 }],
  ['a depth that does not exist', { bits: 5 }],
  ['a header that does not exist', { headerBytes: 39 }],
  ['a JPEG inside', { compression: 4 }],
  ['a PNG inside', { compression: 5 }],
  ['runs of another depth', { compression: 1 }],
  ['masks with holes', { bits: 16, compression: 3, masks: [0xf100, 0x7e0, 0x1f] }],
  ['masks for a palette', { bits: 8, compression: 3, palette, masks: [1, 2, 4] }],
])('a picture with %s is refused', (_, wrong) => {
  const made = bmp({ width: 1, height: 1, bits: 24, data: [0, 0, 0, 0], ...wrong })
  expect(() => readBmpHeader(made)).toThrow()
})

test.each<[string, Made]>([
  ['fewer pixels than it says', { width: 2, height: 2, bits: 24, data: [0, 0, 0, 0, 0, 0, 0, 0] }],
  ['a colour that is not in its palette', { width: 1, height: 1, bits: 8, palette, data: [9, 0, 0, 0] }],
  ['runs that end in the middle', { width: 300, height: 1, bits: 8, compression: 1, palette, data: [255, 1, 0] }],
])('a picture with %s is refused', (_, made) => {
  expect(() => decode(bmp(made))).toThrow()
})

test('runs that leave the picture are cut off', () => {
  const data = [255, 1, 0, 2, 255, 0, 255, 2, 0, 0, 0, 0, 255, 3]
  expect(decode(bmp({ width: 1, height: 2, bits: 8, compression: 1, palette, data }))).toEqual([...BLACK, ...RED])
})

test('no more of a file is read than its pixels can take', () => {
  const header = readBmpHeader(bmp({ width: 3, height: 2, bits: 24, data: [] }))
  expect(bmpBytes(header)).toBe(54 + 2 * 12)
})
