import sharp from 'sharp'
import { pngChunk } from './images.ts'

/** A frame to put into an animated PNG; what is not given is what the specification calls 0. */
export interface FrameOptions {
  readonly png: Buffer
  readonly x?: number
  readonly y?: number
  /** The delay, as the fraction that the file gives, in seconds. */
  readonly delay?: readonly [number, number]
  readonly dispose?: number
  readonly blend?: number
}

export interface AnimatedPngOptions {
  readonly frames: readonly FrameOptions[]
  readonly plays?: number
  /** A picture that is in no frame: programs show it that know no animation. */
  readonly still?: Buffer
  /** How many frames the file says it has, where that is not true. */
  readonly says?: number
}

interface Chunk {
  readonly type: string
  readonly data: Buffer
}

/** Puts PNGs together to an animated one, whatever they are; the canvas is the first one's. */
export function animatedPng({ frames, plays = 0, still, says = frames.length }: AnimatedPngOptions): Buffer {
  let number = 0
  const numbered = (data: Buffer) => {
    const before = Buffer.alloc(4)
    before.writeUInt32BE(number++, 0)
    return Buffer.concat([before, data])
  }
  const control = Buffer.alloc(8)
  control.writeUInt32BE(says, 0)
  control.writeUInt32BE(plays, 4)
  const [first = Buffer.alloc(0)] = still ? [still] : frames.map(({ png }) => png)
  const parts = chunksOf(first).filter(({ type }) => type !== 'IDAT' && type !== 'IEND')
  const chunks = [parts[0], { type: 'acTL', data: control }, ...parts.slice(1)]
  if (still) chunks.push(...dataOf(still).map((data) => ({ type: 'IDAT', data })))
  for (const [index, frame] of frames.entries()) {
    chunks.push({ type: 'fcTL', data: numbered(controlOf(frame)) })
    for (const data of dataOf(frame.png)) {
      chunks.push(index === 0 && !still ? { type: 'IDAT', data } : { type: 'fdAT', data: numbered(data) })
    }
  }
  chunks.push({ type: 'IEND', data: Buffer.alloc(0) })
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    ...chunks.flatMap((chunk) => (chunk ? [pngChunk(chunk.type, chunk.data)] : [])),
  ])
}

/** The chunks of a PNG that is as it should be. */
export function chunksOf(png: Buffer): readonly Chunk[] {
  const chunks: Chunk[] = []
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    const data = png.subarray(at + 8, at + 8 + png.readUInt32BE(at))
    chunks.push({ type: png.toString('latin1', at + 4, at + 8), data })
  }
  return chunks
}

/** A PNG of one colour; `alpha` from 0 to 1. */
export async function plainPng(width: number, height: number, colour: string, alpha = 1): Promise<Buffer> {
  const { r, g, b } = {
    r: colour.includes('r') ? 255 : 0,
    g: colour.includes('g') ? 255 : 0,
    b: colour.includes('b') ? 255 : 0,
  }
  return await sharp({ create: { width, height, channels: 4, background: { r, g, b, alpha } } })
    .png()
    .toBuffer()
}

function dataOf(png: Buffer): readonly Buffer[] {
  return chunksOf(png).flatMap(({ type, data }) => (type === 'IDAT' ? [data] : []))
}

function controlOf({ png, x = 0, y = 0, delay = [0, 0], dispose = 0, blend = 0 }: FrameOptions): Buffer {
  const control = Buffer.alloc(22)
  png.copy(control, 0, 16, 24) // width and height, as the frame's own header has them
  control.writeUInt32BE(x, 8)
  control.writeUInt32BE(y, 12)
  control.writeUInt16BE(delay[0], 16)
  control.writeUInt16BE(delay[1], 18)
  control.writeUInt8(dispose, 20)
  control.writeUInt8(blend, 21)
  return control
}
