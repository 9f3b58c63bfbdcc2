import { crc32, deflateSync } from 'node:zlib'
import type { Size } from './sizes.ts'

export type Colour = readonly [red: number, green: number, blue: number]

const signature = Buffer.from('89504e470d0a1a0a', 'hex')

/**
 * A PNG whose pixels are numbers of colours in a palette (PNG specification, third edition, 5 and 11.2): small, and made
 * without a decoder's process. `rows` has for each row its filter (0, none) and then its pixels, `bitsPerPixel` each.
 */
export function palettePng(
  { width, height }: Size,
  { palette, bitsPerPixel }: { readonly palette: readonly Colour[]; readonly bitsPerPixel: 1 | 8 },
  rows: Buffer,
): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.writeUInt8(bitsPerPixel, 8)
  header.writeUInt8(3, 9) // colours come from the palette
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flat())),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const typeAndData = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32(typeAndData))
  return Buffer.concat([length, typeAndData, checksum])
}
