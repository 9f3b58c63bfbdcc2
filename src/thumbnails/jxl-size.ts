import type { Size } from './sizes.ts'

/** As much of a file as `readJxlHeader` wants to see: metadata may stand before the picture. */
export const JXL_HEADER_BYTES = 2 ** 20

/** A height or width is written in one of four lengths. */
const SIDE_BITS = [9, 13, 18, 30] as const
/** Width : height of the seven shapes that have a number. */
const RATIOS = [
  [1, 1],
  [12, 10],
  [4, 3],
  [3, 2],
  [16, 9],
  [5, 4],
  [2, 1],
] as const

export interface JxlHeader extends Size {
  /** Certainly one picture of 8 bits a colour without transparency: a JPEG can hold all of it. */
  readonly plain: boolean
}

/**
 * The size of a JPEG XL picture in pixels, as it is stored: before it is turned upright. Source: ISO/IEC 18181-1 (SizeHeader,
 * ImageMetadata), 18181-2 (boxes).
 *
 * @throws Error when the bytes are no JPEG XL, or end before they tell
 */
export function readJxlHeader(bytes: Buffer): JxlHeader {
  const codestream = bytes.readUInt16BE(0) === 0xff0a ? bytes : findCodestream(bytes)
  if (codestream.readUInt16BE(0) !== 0xff0a) throw new Error('no JPEG XL codestream begins here')
  const take = bitReader(codestream.subarray(2))
  const size = readSize(take)
  return { ...size, plain: isPlain(take) }
}

type Take = (bits: number) => number

function readSize(take: Take): Size {
  const small = take(1) === 1
  const side = () => (small ? (take(5) + 1) * 8 : take(SIDE_BITS[take(2)] ?? 0) + 1)
  const height = side()
  const ratio = RATIOS[take(3) - 1]
  return { width: ratio ? Math.floor((height * ratio[0]) / ratio[1]) : side(), height }
}

function isPlain(take: Take): boolean {
  const allAsUsual = take(1) === 1
  return allAsUsual || (isStill(take) && hasUsualDepth(take) && hasColoursOnly(take))
}

/** Orientation and another size for display may be there; a preview or an animation may not. */
function isStill(take: Take): boolean {
  if (take(1) === 0) return true
  take(3)
  if (take(1) === 1) readSize(take)
  return take(1) === 0 && take(1) === 0
}

function hasUsualDepth(take: Take): boolean {
  const floats = take(1) === 1
  // 0: 8 bits. The others are more, or a number that follows.
  return !floats && take(2) === 0
}

function hasColoursOnly(take: Take): boolean {
  take(1)
  return take(2) === 0
}

/** The contents of the first `jxlc` or `jxlp` box. */
function findCodestream(bytes: Buffer): Buffer {
  for (let at = 0; ;) {
    const type = bytes.toString('latin1', at + 4, at + 8)
    const short = bytes.readUInt32BE(at)
    const header = short === 1 ? 16 : 8
    if (type === 'jxlc') return bytes.subarray(at + header)
    // Parts begin with their number.
    if (type === 'jxlp') return bytes.subarray(at + header + 4)
    const length = short === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : short
    if (length < header) throw new Error(`a box of ${length} bytes cannot be`)
    at += length
  }
}

/** Gives the next bits as a number, the first bit being its lowest. */
function bitReader(bytes: Buffer): Take {
  let position = 0
  return (count) => {
    let value = 0
    for (let bit = 0; bit < count; bit++, position++) {
      value += ((bytes.readUInt8(position >> 3) >> (position & 7)) & 1) * 2 ** bit
    }
    return value
  }
}
