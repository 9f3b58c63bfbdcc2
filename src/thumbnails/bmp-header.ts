/**
 * The headers of a BMP. Source: Microsoft, "Bitmap Storage" (BITMAPCOREHEADER to BITMAPV5HEADER); OS/2's second header, which
 * is the same up to what is read here.
 */

export type BmpCoding = 'plain' | 'rle8' | 'rle4'

/** One channel of a pixel of 16 or 32 bits: where its bits are; `bits` of 0 means that there is none. */
export interface BmpChannel {
  readonly shift: number
  readonly bits: number
}

export interface BmpHeader {
  /** Pixels. */
  readonly width: number
  readonly height: number
  /** Rows are usually written from the bottom up. */
  readonly topDown: boolean
  readonly bitsPerPixel: 1 | 2 | 4 | 8 | 16 | 24 | 32
  readonly coding: BmpCoding
  /** Red, green, blue, alpha of pixels with 16 and 32 bits. */
  readonly channels: readonly [BmpChannel, BmpChannel, BmpChannel, BmpChannel]
  /** Red, green, blue of each colour, where pixels are numbers of colours. */
  readonly palette: readonly (readonly [number, number, number])[]
  /** Where the pixels begin, in bytes from the start of the file. */
  readonly pixelsAt: number
}

/** As much of the file as `readBmpHeader` wants to see: headers and the largest palette, with room to spare. */
export const BMP_HEADER_BYTES = 4096

const LARGEST_SIDE = 65_535
const FILE_HEADER = 14
const CORE_HEADER = 12
const INFO_HEADER = 40
const MASKS_AT = FILE_HEADER + INFO_HEADER
const DEPTHS = [1, 2, 4, 8, 16, 24, 32] as const
const PLAIN = 0
const RLE8 = 1
const RLE4 = 2
const BITFIELDS = 3
const ALPHA_BITFIELDS = 6

/**
 * What the first bytes of a BMP say.
 *
 * @throws Error what cannot be read: sizes, depths and codings that do not exist, pictures that are JPEG or PNG inside, an end
 *   within the headers
 */
export function readBmpHeader(bytes: Buffer): BmpHeader {
  const headerBytes = bytes.readUInt32LE(FILE_HEADER)
  const core = headerBytes === CORE_HEADER
  if (!core && headerBytes < INFO_HEADER) throw new Error(`a BMP header of ${headerBytes} bytes does not exist`)
  const width = core ? bytes.readUInt16LE(18) : bytes.readInt32LE(18)
  const height = core ? bytes.readUInt16LE(20) : bytes.readInt32LE(22)
  if (!isSide(width) || !isSide(Math.abs(height))) throw new Error(`a size of ${width} × ${height} is impossible`)
  const depth = bytes.readUInt16LE(core ? 24 : 28)
  const bitsPerPixel = DEPTHS.find((known) => known === depth)
  if (!bitsPerPixel) throw new Error(`${depth} bits per pixel do not exist`)
  const compression = core ? PLAIN : bytes.readUInt32LE(30)
  const ownMasks = compression === BITFIELDS || compression === ALPHA_BITFIELDS
  if (ownMasks && bitsPerPixel < 16) throw new Error('masks are for 16 and 32 bits per pixel')
  const masksBytes = ownMasks && headerBytes === INFO_HEADER ? (compression === BITFIELDS ? 12 : 16) : 0
  const paletteAt = FILE_HEADER + headerBytes + masksBytes
  return {
    width,
    height: Math.abs(height),
    topDown: height < 0,
    bitsPerPixel,
    coding: codingOf(compression, bitsPerPixel),
    channels: ownMasks ? maskedChannels(bytes, headerBytes, compression) : usualChannels(bitsPerPixel),
    palette: bitsPerPixel > 8 ? [] : readPalette(bytes, paletteAt, bitsPerPixel, core),
    pixelsAt: bytes.readUInt32LE(10),
  }
}

function isSide(pixels: number): boolean {
  return pixels > 0 && pixels <= LARGEST_SIDE
}

function codingOf(compression: number, bitsPerPixel: number): BmpCoding {
  if ([PLAIN, BITFIELDS, ALPHA_BITFIELDS].includes(compression)) return 'plain'
  if (compression === RLE8 && bitsPerPixel === 8) return 'rle8'
  if (compression === RLE4 && bitsPerPixel === 4) return 'rle4'
  throw new Error(`compression ${compression} with ${bitsPerPixel} bits per pixel is not supported`)
}

/** What applies without masks. The fourth byte of 32 bits is not transparency: most programs leave it 0. */
function usualChannels(bitsPerPixel: number): BmpHeader['channels'] {
  const bits = bitsPerPixel === 16 ? 5 : 8
  const none = { shift: 0, bits: 0 }
  return [{ shift: 2 * bits, bits }, { shift: bits, bits }, { shift: 0, bits }, none]
}

function maskedChannels(bytes: Buffer, headerBytes: number, compression: number): BmpHeader['channels'] {
  const mask = (index: number) => channelOf(bytes.readUInt32LE(MASKS_AT + 4 * index))
  const hasAlpha = headerBytes >= 56 || compression === ALPHA_BITFIELDS
  return [mask(0), mask(1), mask(2), hasAlpha ? mask(3) : channelOf(0)]
}

function channelOf(mask: number): BmpChannel {
  if (mask === 0) return { shift: 0, bits: 0 }
  const shift = 31 - Math.clz32(mask & -mask)
  const bits = 32 - Math.clz32(mask) - shift
  if (mask >>> shift !== (bits === 32 ? 0xffffffff : (1 << bits) - 1)) throw new Error('a colour mask has holes')
  return { shift, bits }
}

/** Colours are blue, green, red, and a byte of nothing where the header is not the oldest. A file may end them early. */
function readPalette(bytes: Buffer, at: number, bitsPerPixel: number, core: boolean): BmpHeader['palette'] {
  const size = core ? 3 : 4
  const said = core ? 0 : bytes.readUInt32LE(46)
  const largest = 2 ** bitsPerPixel
  const count = said === 0 ? largest : Math.min(said, largest)
  return Array.from({ length: count }, (_, index) => {
    const first = at + index * size
    return [bytes.readUInt8(first + 2), bytes.readUInt8(first + 1), bytes.readUInt8(first)] as const
  })
}
