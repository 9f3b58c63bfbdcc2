import sharp from 'sharp'

/** A picture that is known, and how far another one is from it, as an eye sees it: by its colours in large squares. */

export interface Scene {
  readonly width: number
  readonly height: number
  /** Red, green, blue of each pixel, from the upper left. */
  readonly pixels: Buffer
}

/** Soft changes of colour, and two shapes that tell which way up it is: a red disc upper left, a blue bar lower right. */
export function makeScene(width: number, height: number): Scene {
  const pixels = Buffer.alloc(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) pixels.set(colourAt(x / width, y / height), (y * width + x) * 3)
  }
  return { width, height, pixels }
}

function colourAt(x: number, y: number): readonly [number, number, number] {
  if (Math.hypot(x - 0.25, y - 0.3) < 0.14) return [200, 40, 40]
  if (x > 0.6 && x < 0.95 && y > 0.75 && y < 0.9) return [40, 60, 190]
  return [Math.round(60 + 150 * x), Math.round(70 + 130 * y), Math.round(200 - 110 * x)]
}

/** The simplest file there is for it, which every program reads: PPM. */
export function asPpm({ width, height, pixels }: Scene): Buffer {
  return Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), pixels])
}

export function asGrey(scene: Scene): Scene {
  const pixels = Buffer.from(scene.pixels)
  for (let at = 0; at < pixels.length; at += 3) {
    const [red = 0, green = 0, blue = 0] = pixels.subarray(at, at + 3)
    pixels.fill(Math.round(0.2126 * red + 0.7152 * green + 0.0722 * blue), at, at + 3)
  }
  return { ...scene, pixels }
}

export interface Distance {
  /** The mean over all squares and colours, 0 to 255. */
  readonly mean: number
  /** The worst square's. */
  readonly worst: number
}

const ACROSS = 16
const DOWN = 12

/** How far a picture (what lies under transparency does not count: it is laid on white) is from the scene that it shows. */
export async function distanceFrom(scene: Scene, picture: Buffer | string): Promise<Distance> {
  const { data, info } = await sharp(picture)
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  if (info.channels !== 3) throw new Error(`a picture with ${info.channels} channels cannot be compared`)
  const shown = { width: info.width, height: info.height, pixels: data }
  const [wanted, got] = [squares(scene), squares(shown)]
  const apart = wanted.map((value, index) => Math.abs(value - (got[index] ?? 0)))
  return { mean: apart.reduce((sum, value) => sum + value, 0) / apart.length, worst: Math.max(...apart) }
}

/** The mean colour of each square of a grid. */
function squares({ width, height, pixels }: Scene): readonly number[] {
  const sums = Array.from({ length: ACROSS * DOWN * 3 }, () => 0)
  const counts = Array.from({ length: ACROSS * DOWN }, () => 0)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const square = Math.floor((y * DOWN) / height) * ACROSS + Math.floor((x * ACROSS) / width)
      counts[square] = (counts[square] ?? 0) + 1
      for (let colour = 0; colour < 3; colour++) {
        const index = square * 3 + colour
        sums[index] = (sums[index] ?? 0) + (pixels[(y * width + x) * 3 + colour] ?? 0)
      }
    }
  }
  return sums.map((sum, index) => sum / (counts[Math.floor(index / 3)] ?? 1))
}
