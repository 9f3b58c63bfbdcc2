import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import type { Sharp } from 'sharp'

/** Pictures for tests, made when they are needed. */

export interface PictureOptions {
  readonly width: number
  readonly height: number
  readonly alpha?: boolean
}

/** Four quarters: red, green, blue, yellow from the upper left; with `alpha` the yellow one is transparent. */
export async function quarters({ width, height, alpha = false }: PictureOptions): Promise<Sharp> {
  const pixels = Buffer.alloc(width * height * 4)
  const colours = [0xff0000ff, 0x00ff00ff, 0x0000ffff, alpha ? 0xffff0000 : 0xffff00ff]
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const quarter = (y * 2 >= height ? 2 : 0) + (x * 2 >= width ? 1 : 0)
      pixels.writeUInt32BE(colours[quarter] ?? 0, (y * width + x) * 4)
    }
  }
  const image = sharp(pixels, { raw: { width, height, channels: 4 } })
  return alpha ? image : image.removeAlpha()
}

/** A picture that hardly compresses, so that there is data to cut off or damage. */
export function noise({ width, height }: PictureOptions): Sharp {
  return sharp({
    create: { width, height, channels: 3, background: 'black', noise: { type: 'gaussian', mean: 128, sigma: 60 } },
  })
}

/** One PNG chunk. */
export function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}

/** A decompression bomb: a greyscale PNG of a few kB that says it has `width × height` pixels; its data is cut short. */
export function pngBomb(width: number, height: number): Buffer {
  return greyPng(width, height, 0, Math.min(width * height, 1_000_000))
}

/** A whole, valid, black PNG of a few hundred kB that cannot be decoded row by row: it is interlaced (Adam7). */
export function interlacedPngBomb(width: number, height: number): Buffer {
  const passes = [
    [0, 8, 0, 8],
    [4, 8, 0, 8],
    [0, 4, 4, 8],
    [2, 4, 0, 4],
    [0, 2, 2, 4],
    [1, 2, 0, 2],
    [0, 1, 1, 2],
  ] as const
  const bytes = passes.map(([x, dx, y, dy]) => (1 + Math.ceil((width - x) / dx)) * Math.ceil((height - y) / dy))
  return greyPng(
    width,
    height,
    1,
    bytes.reduce((sum, part) => sum + part, 0),
  )
}

function greyPng(width: number, height: number, interlace: 0 | 1, dataBytes: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.writeUInt8(8, 8) // bits per pixel, grey
  header.writeUInt8(interlace, 12)
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(Buffer.alloc(dataBytes))),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

/** The same PNG, announced as animated (APNG's `acTL` before the picture's data): two frames, of which one is there. */
export function asAnimatedPng(png: Buffer): Buffer {
  const afterHeader = 8 + 25
  const control = Buffer.alloc(8)
  control.writeUInt32BE(2, 0)
  return Buffer.concat([png.subarray(0, afterHeader), pngChunk('acTL', control), png.subarray(afterHeader)])
}
