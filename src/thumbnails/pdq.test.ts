import { expect, test } from 'vitest'
import { type Pixels, pdqOf } from './pdq.ts'

/** Waves, squares and slopes, in whole numbers: the same on every machine. */
function drawing(width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3
      data[at] = (Math.floor((x * x) / 7) + y * 5) % 256
      data[at + 1] = ((Math.floor(x / 9) + Math.floor(y / 13)) % 2) * 200 + (Math.floor((x * y) / 97) % 50)
      data[at + 2] = Math.abs(mod(x * 3 - y * 2, 511) - 255)
    }
  }
  return { data, width, height }
}

const mod = (value: number, by: number) => ((value % by) + by) % by

function distance(a: string, b: string): number {
  let different = BigInt(`0x${a}`) ^ BigInt(`0x${b}`)
  let bits = 0
  for (; different > 0n; different >>= 1n) bits += Number(different & 1n)
  return bits
}

// What Meta's own program (pdqhash 0.2, C++) makes of the same pixels.
test.for([
  [512, 384, 'ffff03000000f47e0048d5fe006a43fc17e87ffc77e8fffcffc0ffe002354000', 100],
  [300, 500, '078fcf0a060ffc3a360e721aa0dce258a0fe03f803fc77f8aeadfe07ffc00007', 100],
  [64, 64, '707fc57f2e806097c7801c87707a6780cc7f98e0516fd37eae80556faad4aa91', 100],
  [97, 61, 'd38853fffc22ac1013aeac0403ffbc00c3ff17ea53af53ffac00bc1f2c704c41', 100],
  [130, 1000, 'c382e7cec7860f9ecf8e1ffec003f87ec02be0e1c3643ff9c340ffc1df002001', 100],
] as const)('%i × %i pixels have the hash that other programs give them', ([width, height, hash, quality]) => {
  const pdq = pdqOf(drawing(width, height))
  // The last digits of a sum may round otherwise.
  expect(distance(pdq.hash, hash)).toBeLessThanOrEqual(2)
  expect(pdq.quality).toBe(quality)
})

test('Pictures of a pixel, a line, one colour have a hash as well, and next to no quality', () => {
  for (const [width, height] of [
    [1, 1],
    [1, 700],
    [200, 100],
  ] as const) {
    const data = new Uint8Array(width * height * 3).fill(90)
    expect(pdqOf({ data, width, height })).toMatchObject({ hash: expect.stringMatching(/^[0-9a-f]{64}$/), quality: 0 })
  }
})

test('A brighter picture keeps its hash, another one has another', () => {
  const { data, width, height } = drawing(300, 200)
  const half = data.map((value) => value / 2)
  const brighter = half.map((value) => value + 60)
  const base = pdqOf({ data: half, width, height }).hash
  expect(distance(pdqOf({ data: brighter, width, height }).hash, base)).toBeLessThan(10)
  expect(distance(pdqOf(drawing(200, 300)).hash, base)).toBeGreaterThan(60)
})
