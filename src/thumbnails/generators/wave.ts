import type { Size } from '../sizes.ts'

/** Red, green, blue, 0 to 255. */
export type Colour = readonly [number, number, number]

/** Pixels of three bytes, row by row. */
export interface Canvas extends Size {
  readonly pixels: Buffer
}

/** The highest and the lowest sample of a stretch of sound, -1 to 1. */
export interface Peak {
  readonly highest: number
  readonly lowest: number
}

const capacity = 8192
const fullScale = 32_768

/** Keeps the peaks of a sound of any length: when there are too many stretches, each two become one. */
export class Peaks {
  #highest = new Int16Array(capacity)
  #lowest = new Int16Array(capacity)
  #stretches = 0
  #samplesEach = 1
  /** In the last stretch. */
  #samples = 0
  /** The first half of a sample that was torn apart. */
  #half: number | undefined

  /** Takes signed 16-bit samples, little-endian. */
  add(piece: Buffer): void {
    const bytes = this.#half === undefined ? piece : Buffer.concat([Buffer.of(this.#half), piece])
    this.#half = bytes.length % 2 === 1 ? bytes.at(-1) : undefined
    for (let at = 0; at + 1 < bytes.length; at += 2) this.addSample(bytes.readInt16LE(at))
  }

  /** Takes a sample of 16 bits. */
  addSample(sample: number): void {
    if (this.#stretches === 0 || this.#samples === this.#samplesEach) this.#begin(sample)
    const last = this.#stretches - 1
    if (sample > (this.#highest[last] ?? 0)) this.#highest[last] = sample
    if (sample < (this.#lowest[last] ?? 0)) this.#lowest[last] = sample
    this.#samples++
  }

  /** The whole sound in as many columns; undefined if there is none. */
  columns(count: number): readonly Peak[] | undefined {
    if (this.#stretches === 0) return undefined
    return Array.from({ length: count }, (_, column) => {
      const from = Math.floor((column * this.#stretches) / count)
      const to = Math.max(from + 1, Math.floor(((column + 1) * this.#stretches) / count))
      return {
        highest: Math.max(...this.#highest.subarray(from, to)) / fullScale,
        lowest: Math.min(...this.#lowest.subarray(from, to)) / fullScale,
      }
    })
  }

  #begin(sample: number): void {
    if (this.#stretches === capacity) this.#halve()
    this.#highest[this.#stretches] = sample
    this.#lowest[this.#stretches] = sample
    this.#stretches++
    this.#samples = 0
  }

  #halve(): void {
    for (let to = 0; to < capacity / 2; to++) {
      const from = to * 2
      this.#highest[to] = Math.max(...this.#highest.subarray(from, from + 2))
      this.#lowest[to] = Math.min(...this.#lowest.subarray(from, from + 2))
    }
    this.#stretches = capacity / 2
    this.#samplesEach *= 2
  }
}

export function fill({ width, height }: Size, colour: Colour): Canvas {
  return { width, height, pixels: Buffer.alloc(width * height * 3, Buffer.from(colour)) }
}

/** One bar for each peak, from the middle up to the highest and down to the lowest; silence is a line. */
export function drawWave(
  canvas: Canvas,
  peaks: readonly Peak[],
  { left, padding, colour }: { readonly left: number; readonly padding: number; readonly colour: Colour },
): void {
  const middle = canvas.height / 2
  const scale = Math.max(1, (canvas.height - padding) / 2)
  for (const [column, { highest, lowest }] of peaks.entries()) {
    const top = Math.floor(middle - Math.max(0, highest) * scale)
    const bottom = Math.max(top + 1, Math.ceil(middle - Math.min(0, lowest) * scale))
    for (let y = top; y < bottom; y++) paint(canvas, left + column, y, colour)
  }
}

/** A musical note in a square. */
export function drawNote(
  canvas: Canvas,
  {
    left,
    top,
    side,
    colour,
  }: { readonly left: number; readonly top: number; readonly side: number; readonly colour: Colour },
): void {
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      if (isNote((x + 0.5) / side, (y + 0.5) / side)) paint(canvas, left + x, top + y, colour)
    }
  }
}

/** Two heads, a stem on each, and the beam that joins them; in a square from 0 to 1. */
function isNote(x: number, y: number): boolean {
  const isHead = (cx: number, cy: number) => ((x - cx) / 0.13) ** 2 + ((y - cy) / 0.1) ** 2 <= 1
  const isStem = (cx: number, bottom: number) => Math.abs(x - cx) <= 0.03 && y >= 0.25 && y <= bottom
  const isBeam = x >= 0.34 && x <= 0.84 && y >= 0.2 && y <= 0.32
  return isHead(0.27, 0.75) || isHead(0.71, 0.7) || isStem(0.37, 0.75) || isStem(0.81, 0.7) || isBeam
}

function paint({ width, height, pixels }: Canvas, x: number, y: number, colour: Colour): void {
  if (x < 0 || y < 0 || x >= width || y >= height) return
  pixels.set(colour, (y * width + x) * 3)
}
