import sharp from 'sharp'
import type { AnimatedPng, PngFrame } from './read.ts'

const CHANNELS = 4

/**
 * The canvas after each frame, as 8-bit RGBA, not premultiplied. It is the same memory each time: use it before asking for
 * the next one. One canvas is held, one more while a frame is restored, and one decoded frame.
 *
 * @throws what sharp says of a frame that cannot be decoded
 */
export async function* composeFrames({ animation, frames }: AnimatedPng): AsyncGenerator<Buffer, void> {
  const canvas = Buffer.alloc(animation.width * animation.height * CHANNELS)
  for (const [index, frame] of frames.entries()) {
    const picture = await decode(frame)
    // Before the first frame there is nothing, so restoring that is clearing.
    const before = frame.dispose === 'restore' && index > 0 ? Buffer.from(canvas) : undefined
    draw(canvas, animation.width, frame, picture)
    yield canvas
    if (before) before.copy(canvas)
    else if (frame.dispose !== 'keep') clear(canvas, animation.width, frame)
  }
}

async function decode({ png, width, height }: PngFrame): Promise<Buffer> {
  const image = sharp(Buffer.concat(png), { failOn: 'error', limitInputPixels: width * height })
  const { data, info } = await image.toColourspace('srgb').ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  if (info.channels === CHANNELS && info.width === width && info.height === height) return data
  throw new Error(`a frame of ${width} × ${height} came out ${info.width} × ${info.height} × ${info.channels}`)
}

function draw(canvas: Buffer, canvasWidth: number, frame: PngFrame, picture: Buffer): void {
  for (let row = 0; row < frame.height; row++) {
    const to = canvas.subarray(startOf(row, canvasWidth, frame))
    const from = picture.subarray(row * frame.width * CHANNELS, (row + 1) * frame.width * CHANNELS)
    if (frame.blend === 'source') to.set(from)
    else drawOver(to, from)
  }
}

/** Porter and Duff's "over", for colours that are not premultiplied. */
function drawOver(to: Buffer, from: Buffer): void {
  for (let at = 0; at < from.length; at += CHANNELS) {
    const alpha = byte(from, at + 3)
    if (alpha === 0) continue
    const share = alpha * 255
    const rest = (255 - alpha) * byte(to, at + 3)
    for (let part = 0; part < 3; part++) {
      to[at + part] = Math.round((byte(from, at + part) * share + byte(to, at + part) * rest) / (share + rest))
    }
    to[at + 3] = Math.round((share + rest) / 255)
  }
}

/** Every index is inside: frames are inside the canvas, and pictures have their frame's size. */
function byte(of: Buffer, at: number): number {
  return of[at] ?? 0
}

function clear(canvas: Buffer, canvasWidth: number, frame: PngFrame): void {
  for (let row = 0; row < frame.height; row++) {
    const start = startOf(row, canvasWidth, frame)
    canvas.fill(0, start, start + frame.width * CHANNELS)
  }
}

function startOf(row: number, canvasWidth: number, frame: PngFrame): number {
  return ((frame.y + row) * canvasWidth + frame.x) * CHANNELS
}
