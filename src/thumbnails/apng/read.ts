import { crc32 } from 'node:zlib'
import type { Animation } from '../frames.ts'
import type { Size } from '../sizes.ts'

/** An animated PNG, taken apart. Source: "Portable Network Graphics (PNG) Specification (Third Edition)", W3C. */
export interface AnimatedPng {
  readonly animation: Animation
  /** How often it is shown; 0: for ever. */
  readonly plays: number
  readonly frames: readonly PngFrame[]
}

/** One frame: its place on the canvas in pixels, and its picture as a PNG of its own. */
export interface PngFrame extends Size {
  readonly x: number
  readonly y: number
  readonly delay: number
  /** What becomes of its place before the next frame is drawn. */
  readonly dispose: 'keep' | 'clear' | 'restore'
  /** Whether it covers what was there, or is drawn over it as far as it is not transparent. */
  readonly blend: 'source' | 'over'
  /** The parts of the PNG, to be joined. Not joined before it is needed: all frames at once would be the file once more. */
  readonly png: readonly Uint8Array[]
}

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')
/** What a frame's PNG needs of the file's besides its own data: palette, transparency and colours. */
const SHARED = new Set(['PLTE', 'tRNS', 'gAMA', 'cHRM', 'sRGB', 'iCCP', 'cICP', 'sBIT'])
const DISPOSALS = ['keep', 'clear', 'restore'] as const
const BLENDS = ['source', 'over'] as const

/**
 * The frames of an animated PNG; undefined when it has fewer than two or breaks a rule, as by the specification it then is the
 * still picture that it also holds. Decodes nothing.
 */
export function readAnimatedPng(file: Buffer): AnimatedPng | undefined {
  const chunks = readChunks(file)
  const header = chunks?.[0]
  const control = chunks?.find(({ type }) => type === 'acTL')
  if (!chunks || header?.type !== 'IHDR' || header.data.length !== 13 || control?.data.length !== 8) return undefined
  const canvas = { width: header.data.readUInt32BE(0), height: header.data.readUInt32BE(4) }
  const frames = readFrames(chunks, header.data)
  if (frames.length < 2 || frames.length !== control.data.readUInt32BE(0)) return undefined
  if (!isInOrder(chunks) || !frames.every((frame) => isInside(frame, canvas))) return undefined
  const animation = { ...canvas, frames: frames.length, delays: frames.map(({ delay }) => delay) }
  return { animation, plays: control.data.readUInt32BE(4), frames }
}

interface Chunk {
  readonly type: string
  readonly data: Buffer
}

/** All chunks, or undefined for a file that is cut off or damaged. */
function readChunks(file: Buffer): readonly Chunk[] | undefined {
  if (!file.subarray(0, 8).equals(SIGNATURE)) return undefined
  const chunks: Chunk[] = []
  for (let at = SIGNATURE.length; at + 12 <= file.length;) {
    const end = at + 8 + file.readUInt32BE(at)
    if (end + 4 > file.length || crc32(file.subarray(at + 4, end)) !== file.readUInt32BE(end)) return undefined
    const type = file.toString('latin1', at + 4, at + 8)
    if (type === 'IEND') return chunks
    chunks.push({ type, data: file.subarray(at + 8, end) })
    at = end + 4
  }
  return undefined
}

function readFrames(chunks: readonly Chunk[], header: Buffer): readonly PngFrame[] {
  const firstData = chunks.findIndex(({ type }) => type === 'IDAT')
  const shared = chunks.slice(0, Math.max(0, firstData)).filter(({ type }) => SHARED.has(type))
  const frames: PngFrame[] = []
  for (const [index, { type, data }] of chunks.entries()) {
    if (type !== 'fcTL' || data.length !== 26) continue
    const frame = readControl(data)
    const own = dataOf(chunks, index + 1)
    if (!frame || own.length === 0) return []
    frames.push({ ...frame, png: toPng(header, frame, shared, own) })
  }
  return frames
}

/** What a frame's `fcTL` says of it, or undefined for values that mean nothing. */
function readControl(data: Buffer): Omit<PngFrame, 'png'> | undefined {
  const [width, height, x, y] = [4, 8, 12, 16].map((at) => data.readUInt32BE(at)) as [number, number, number, number]
  const dispose = DISPOSALS[data.readUInt8(24)]
  const blend = BLENDS[data.readUInt8(25)]
  if (!dispose || !blend || width === 0 || height === 0) return undefined
  const delay = Math.round((1000 * data.readUInt16BE(20)) / (data.readUInt16BE(22) || 100))
  return { width, height, x, y, delay, dispose, blend }
}

/** The data between a frame's `fcTL` and the next. The first frame may be the still picture, whose data has another name. */
function dataOf(chunks: readonly Chunk[], from: number): readonly Buffer[] {
  const data: Buffer[] = []
  for (let index = from; index < chunks.length && chunks[index]?.type !== 'fcTL'; index++) {
    const chunk = chunks[index]
    if (chunk?.type === 'IDAT') data.push(chunk.data)
    if (chunk?.type === 'fdAT' && chunk.data.length > 4) data.push(chunk.data.subarray(4))
  }
  return data
}

function toPng(header: Buffer, { width, height }: Size, shared: readonly Chunk[], data: readonly Buffer[]) {
  const own = Buffer.from(header)
  own.writeUInt32BE(width, 0)
  own.writeUInt32BE(height, 4)
  return [
    SIGNATURE,
    ...toChunk('IHDR', own),
    ...shared.flatMap((chunk) => toChunk(chunk.type, chunk.data)),
    ...data.flatMap((part) => toChunk('IDAT', part)),
    ...toChunk('IEND', Buffer.alloc(0)),
  ]
}

function toChunk(type: string, data: Buffer): readonly Uint8Array[] {
  const before = Buffer.alloc(8, type.padStart(8), 'latin1')
  before.writeUInt32BE(data.length, 0)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(data, crc32(before.subarray(4))), 0)
  return [before, data, sum]
}

/** `fcTL` and `fdAT` are numbered through, so that a program that shuffles chunks it does not know is found out. */
function isInOrder(chunks: readonly Chunk[]): boolean {
  const numbered = chunks.filter(({ type, data }) => (type === 'fcTL' || type === 'fdAT') && data.length >= 4)
  return numbered.every(({ data }, index) => data.readUInt32BE(0) === index)
}

function isInside(frame: PngFrame, canvas: Size): boolean {
  return frame.x + frame.width <= canvas.width && frame.y + frame.height <= canvas.height
}
