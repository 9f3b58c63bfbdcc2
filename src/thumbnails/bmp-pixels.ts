import type { BmpChannel, BmpHeader } from './bmp-header.ts'

/** Rows from the top, three or four bytes a pixel. */
export interface Pixels {
  readonly data: Buffer
  readonly width: number
  readonly height: number
  readonly channels: 3 | 4
}

/**
 * The pixels of a BMP: red, green, blue, and alpha where its header has a mask for it and any pixel uses it.
 *
 * @throws Error when there are fewer bytes than pixels, or a pixel has no colour
 */
export function decodeBmp(bytes: Buffer, header: BmpHeader): Pixels {
  if (header.bitsPerPixel <= 8) {
    return decodeIndexed(header.coding === 'plain' ? readIndices(bytes, header) : expandRuns(bytes, header), header)
  }
  return header.bitsPerPixel === 24 ? decodeTriples(bytes, header) : decodeMasked(bytes, header)
}

/** The most bytes from the start of the file that its pixels can take. */
export function bmpBytes(header: BmpHeader): number {
  const plain = header.height * strideOf(header)
  // The worst that runs can be: each pixel a run, each row with its end, and as much again in jumps.
  const runs = 4 * header.width * header.height + 4 * header.height + 4
  return header.pixelsAt + (header.coding === 'plain' ? plain : runs)
}

/** Rows begin at multiples of four bytes. */
function strideOf({ width, bitsPerPixel }: BmpHeader): number {
  return Math.ceil((width * bitsPerPixel) / 32) * 4
}

/** Where row `y` from the top begins in a file of plain rows. */
function rowAt(bytes: Buffer, header: BmpHeader, y: number): number {
  const stride = strideOf(header)
  const at = header.pixelsAt + (header.topDown ? y : header.height - 1 - y) * stride
  if (at + stride > bytes.length) throw new Error('the pixels of this BMP are cut short')
  return at
}

function decodeTriples(bytes: Buffer, header: BmpHeader): Pixels {
  const { width, height } = header
  const data = Buffer.allocUnsafe(width * height * 3)
  let to = 0
  for (let y = 0; y < height; y++) {
    let from = rowAt(bytes, header, y)
    for (let x = 0; x < width; x++, from += 3, to += 3) {
      data[to] = bytes[from + 2] ?? 0
      data[to + 1] = bytes[from + 1] ?? 0
      data[to + 2] = bytes[from] ?? 0
    }
  }
  return { data, width, height, channels: 3 }
}

function decodeMasked(bytes: Buffer, header: BmpHeader): Pixels {
  const { width, height, bitsPerPixel } = header
  const channels = header.channels[3].bits > 0 ? 4 : 3
  const data = Buffer.allocUnsafe(width * height * channels)
  const pixelBytes = bitsPerPixel / 8
  let to = 0
  for (let y = 0; y < height; y++) {
    const from = rowAt(bytes, header, y)
    for (let x = 0; x < width; x++) {
      const pixel = bytes.readUIntLE(from + x * pixelBytes, pixelBytes)
      for (let channel = 0; channel < channels; channel++) data[to++] = valueOf(pixel, header.channels[channel])
    }
  }
  return channels === 4 ? withoutEmptyAlpha({ data, width, height, channels }) : { data, width, height, channels }
}

/** One channel's value, 0 to 255. */
function valueOf(pixel: number, channel: BmpChannel | undefined): number {
  if (!channel || channel.bits === 0) return 0
  const most = 2 ** channel.bits - 1
  return Math.round((((pixel >>> channel.shift) & most) >>> 0) * (255 / most))
}

/** Programs that know nothing of alpha leave it 0 everywhere: nobody sends an invisible picture. */
function withoutEmptyAlpha(pixels: Pixels): Pixels {
  for (let at = 3; at < pixels.data.length; at += 4) if (pixels.data[at] !== 0) return pixels
  for (let at = 3; at < pixels.data.length; at += 4) pixels.data[at] = 255
  return pixels
}

/** One byte a pixel: the number of its colour. */
function readIndices(bytes: Buffer, header: BmpHeader): Buffer {
  const { width, height, bitsPerPixel } = header
  const indices = Buffer.allocUnsafe(width * height)
  const perByte = 8 / bitsPerPixel
  const mask = 2 ** bitsPerPixel - 1
  let to = 0
  for (let y = 0; y < height; y++) {
    const from = rowAt(bytes, header, y)
    for (let x = 0; x < width; x++) {
      const byte = bytes[from + Math.floor(x / perByte)] ?? 0
      indices[to++] = (byte >>> (8 - bitsPerPixel * (1 + (x % perByte)))) & mask
    }
  }
  return indices
}

const END_OF_ROW = 0
const END_OF_PICTURE = 1
const JUMP = 2

/** As `readIndices`, of runs of equal pixels. What is jumped over has the first colour; what hangs over the edge is left out. */
function expandRuns(bytes: Buffer, header: BmpHeader): Buffer {
  const { width, height, topDown } = header
  const indices = Buffer.alloc(width * height)
  let [at, x, y] = [header.pixelsAt, 0, 0]
  const put = (index: number) => {
    if (x < width && y < height) indices[(topDown ? y : height - 1 - y) * width + x] = index
    x++
  }
  while (y < height) {
    const [count, value] = [bytes.readUInt8(at), bytes.readUInt8(at + 1)]
    at += 2
    if (count > 0) {
      for (let done = 0; done < count; done++) put(runIndex(header, value, done))
    } else if (value === END_OF_PICTURE) {
      break
    } else if (value === END_OF_ROW) {
      x = 0
      y++
    } else if (value === JUMP) {
      x += bytes.readUInt8(at)
      y += bytes.readUInt8(at + 1)
      at += 2
    } else {
      const length = header.coding === 'rle8' ? value : Math.ceil(value / 2)
      for (let done = 0; done < value; done++) {
        put(runIndex(header, bytes.readUInt8(at + (header.coding === 'rle8' ? done : done >> 1)), done))
      }
      // Literal pixels are filled up to pairs of bytes.
      at += length + (length % 2)
    }
  }
  return indices
}

/** With four bits, two pixels share a byte and take turns. */
function runIndex({ coding }: BmpHeader, value: number, position: number): number {
  if (coding === 'rle8') return value
  return position % 2 === 0 ? value >>> 4 : value & 15
}

function decodeIndexed(indices: Buffer, { width, height, palette }: BmpHeader): Pixels {
  const data = Buffer.allocUnsafe(indices.length * 3)
  for (let at = 0; at < indices.length; at++) {
    const colour = palette[indices[at] ?? 0]
    if (!colour) throw new Error(`a pixel has colour ${indices[at]}, and there are ${palette.length}`)
    data.set(colour, at * 3)
  }
  return { data, width, height, channels: 3 }
}
