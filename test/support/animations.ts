import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

/** Animations that other programs made (test/fixtures/animations/make.sh); all show the same eight frames of 96 × 72 pixels. */
export const ANIMATIONS = {
  'imagemagick.gif': { type: 'image/gif', delays: Array<number>(8).fill(70), loop: 3 },
  'previous.gif': { type: 'image/gif', delays: Array<number>(8).fill(70), loop: 0 },
  'gifsicle.gif': { type: 'image/gif', delays: Array<number>(8).fill(50), loop: 0 },
  'apngasm.png': { type: 'image/apng', delays: Array<number>(8).fill(50), loop: 4 },
  'ffmpeg.png': { type: 'image/apng', delays: Array<number>(8).fill(40), loop: 2 },
  'ffmpeg-16-bit.png': { type: 'image/apng', delays: Array<number>(8).fill(40), loop: 2 },
  'img2webp.webp': { type: 'image/webp', delays: Array<number>(8).fill(40), loop: 5 },
  'gif2webp.webp': { type: 'image/webp', delays: [30, 90, 50, 50, 50, 50, 50, 50], loop: 0 },
} as const
export type AnimationName = keyof typeof ANIMATIONS
export const NAMES = Object.keys(ANIMATIONS) as readonly AnimationName[]

export const readAnimation = (name: AnimationName | 'frames.png') =>
  readFile(fileURLToPath(new URL(`../fixtures/animations/${name}`, import.meta.url)))

export interface Frames {
  readonly width: number
  readonly height: number
  /** RGBA, one after the other from the first. */
  readonly pixels: readonly Buffer[]
}

/** The frames of a GIF or WebP, or the one of another picture. */
export async function framesOf(file: Buffer | string): Promise<Frames> {
  const image = sharp(file, { animated: true }).toColourspace('srgb').ensureAlpha().raw()
  const { data, info } = await image.toBuffer({ resolveWithObject: true })
  const height = info.pageHeight ?? info.height
  const bytes = info.width * height * 4
  const pixels = Array.from({ length: info.height / height }, (_, frame) =>
    data.subarray(frame * bytes, (frame + 1) * bytes),
  )
  return { width: info.width, height, pixels }
}

/** The eight frames as they were drawn, made as small as asked one by one. */
export async function drawnFrames(width: number, height: number): Promise<readonly Buffer[]> {
  const drawn = await readAnimation('frames.png')
  return await Promise.all(
    Array.from({ length: 8 }, (_, frame) =>
      sharp(drawn)
        .extract({ left: frame * 96, top: 0, width: 96, height: 72 })
        .toBuffer()
        .then((one) => sharp(one).resize(width, height, { fit: 'cover' }).raw().toBuffer()),
    ),
  )
}

/**
 * How much two pictures differ, as seen on white and on black: 0 is not at all, 1 is black against white everywhere. One of
 * the drawn frames differs from the next by 0.05 and more.
 */
export function difference(one: Buffer, other: Buffer): number {
  if (one.length !== other.length) return 1
  let sum = 0
  for (let at = 0; at < one.length; at += 4) {
    for (const background of [0, 255]) {
      for (let part = 0; part < 3; part++)
        sum += Math.abs(on(background, one, at, part) - on(background, other, at, part))
    }
  }
  return sum / (one.length * 1.5) / 255
}

function on(background: number, pixels: Buffer, at: number, part: number): number {
  const alpha = (pixels[at + 3] ?? 0) / 255
  return (pixels[at + part] ?? 0) * alpha + background * (1 - alpha)
}

/** Which of the drawn frames a picture shows. */
export function nearest(picture: Buffer, drawn: readonly Buffer[]): number {
  const differences = drawn.map((frame) => difference(picture, frame))
  return differences.indexOf(Math.min(...differences))
}

/** A GIF of `frames` frames of one black pixel on a canvas of 64 × 64, each shown for `delay` hundredths of a second. */
export function tinyGif(frames: number, delay: number): Buffer {
  const head = Buffer.concat([Buffer.from('GIF89a', 'latin1'), Buffer.from('40004000800000000000ffffff', 'hex')])
  const frame = Buffer.from('21f904040000ff002c0000000001000100000202440100', 'hex')
  frame.writeUInt16LE(delay, 4)
  return Buffer.concat([head, ...Array<Buffer>(frames).fill(frame), Buffer.from(';')])
}
