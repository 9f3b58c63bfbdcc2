/** A colour profile for tests, made by ourselves: AdobeRGB's colours and curve. Source: ICC.1:2001, Adobe RGB (1998). */

const PARTS = {
  rXYZ: [0.60974, 0.31111, 0.01947],
  gXYZ: [0.20528, 0.62567, 0.06087],
  bXYZ: [0.14919, 0.06322, 0.74457],
  wtpt: [0.9642, 1, 0.8249],
} as const
const GAMMA = 563 / 256

/** XYZ under D50 to linear sRGB. */
const TO_SRGB = [
  [3.1338561, -1.6168667, -0.4906146],
  [-0.9787684, 1.9161415, 0.033454],
  [0.0719453, -0.2289914, 1.4052427],
] as const

/** What an AdobeRGB colour is in sRGB; each channel 0 to 255, cut off where sRGB ends. */
export function adobeToSrgb(colour: readonly [number, number, number]): readonly number[] {
  const linear = colour.map((value) => (value / 255) ** GAMMA)
  const columns = [PARTS.rXYZ, PARTS.gXYZ, PARTS.bXYZ]
  const xyz = [0, 1, 2].map((row) =>
    columns.reduce((sum, column, at) => sum + (column[row] ?? 0) * (linear[at] ?? 0), 0),
  )
  return TO_SRGB.map((row) => {
    const value = Math.min(
      1,
      Math.max(
        0,
        row.reduce((sum, factor, at) => sum + factor * (xyz[at] ?? 0), 0),
      ),
    )
    return Math.round(255 * (value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055))
  })
}

/** The profile's bytes, as pictures embed it. */
export function adobeProfile(): Buffer {
  const curve = tag('curv', [1, 0x0233_0000], (bytes) => bytes.subarray(0, 14))
  const tags: (readonly [string, Buffer])[] = [
    ['desc', description('Adobe-like RGB')],
    ['cprt', Buffer.concat([Buffer.from('text\0\0\0\0'), Buffer.from('none\0')])],
    ...Object.entries(PARTS).map(([name, xyz]) => [name, tag('XYZ ', xyz.map(fixed))] as const),
    ...['rTRC', 'gTRC', 'bTRC'].map((name) => [name, curve] as const),
  ]
  const table = Buffer.alloc(4 + 12 * tags.length)
  table.writeUInt32BE(tags.length)
  let at = 128 + table.length
  const bodies = tags.map(([name, body], index) => {
    table.write(name, 4 + 12 * index, 'latin1')
    table.writeUInt32BE(at, 8 + 12 * index)
    table.writeUInt32BE(body.length, 12 + 12 * index)
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)])
    at += padded.length
    return padded
  })
  return Buffer.concat([head(at), table, ...bodies])
}

function head(size: number): Buffer {
  const bytes = Buffer.alloc(128)
  bytes.writeUInt32BE(size)
  bytes.writeUInt32BE(0x0210_0000, 8)
  bytes.write('mntrRGB XYZ ', 12, 'latin1')
  bytes.writeUInt16BE(2000, 24)
  bytes.writeUInt16BE(1, 26)
  bytes.writeUInt16BE(1, 28)
  bytes.write('acsp', 36, 'latin1')
  for (const [index, value] of PARTS.wtpt.entries()) bytes.writeInt32BE(fixed(value), 68 + 4 * index)
  return bytes
}

function tag(type: string, values: readonly number[], cut = (bytes: Buffer) => bytes): Buffer {
  const bytes = Buffer.alloc(8 + 4 * values.length)
  bytes.write(type, 'latin1')
  for (const [index, value] of values.entries()) bytes.writeInt32BE(value, 8 + 4 * index)
  return cut(bytes)
}

/** s15Fixed16Number. */
function fixed(value: number): number {
  return Math.round(value * 65536)
}

function description(text: string): Buffer {
  const bytes = Buffer.alloc(12 + text.length + 1 + 78)
  bytes.write('desc', 'latin1')
  bytes.writeUInt32BE(text.length + 1, 8)
  bytes.write(text, 12, 'latin1')
  return bytes
}
