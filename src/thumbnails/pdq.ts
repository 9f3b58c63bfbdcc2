/**
 * PDQ, a hash of 256 bits of what a picture looks like: two pictures of which few bits differ look alike. Own work after the
 * published description, so that hashes are those of other programs' lists. Source: Meta, "PDQ & TMK + PDQF", 2019.
 */

export interface Pdq {
  /** 64 hexadecimal digits. */
  readonly hash: string
  /** How much there is to see in it, 0 to 100: what has little looks like too many others. */
  readonly quality: number
}

/** A picture as rows of red, green and blue, 0 to 255. */
export interface Pixels {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
}

const SIDE = 64
const FREQUENCIES = 16
const SMOOTHINGS = 2

/** The hash of a picture of at least one pixel. */
export function pdqOf({ data, width, height }: Pixels): Pdq {
  const luminance = new Float32Array(width * height)
  for (let pixel = 0; pixel < luminance.length; pixel++) {
    const [red = 0, green = 0, blue = 0] = [data[pixel * 3], data[pixel * 3 + 1], data[pixel * 3 + 2]]
    luminance[pixel] = 0.299 * red + 0.587 * green + 0.114 * blue
  }
  smooth(luminance, width, height)
  const small = decimated(luminance, width, height)
  return { hash: hexOf(spectrum(small)), quality: qualityOf(small) }
}

/** A tent filter (a box, twice, in each direction), wide enough that no pixel between those that are taken goes unseen. */
function smooth(values: Float32Array, width: number, height: number): void {
  const line = new Float32Array(Math.max(width, height))
  for (let time = 0; time < SMOOTHINGS; time++) {
    for (let row = 0; row < height; row++) average(values, line, { at: row * width, step: 1, count: width })
    for (let column = 0; column < width; column++) average(values, line, { at: column, step: width, count: height })
  }
}

/** Each value of a row or column becomes the average of those around it; at the ends, of fewer. */
function average(
  values: Float32Array,
  line: Float32Array,
  { at, step, count }: { readonly at: number; readonly step: number; readonly count: number },
): void {
  const window = Math.ceil(count / (2 * SIDE))
  const [ahead, behind] = [Math.floor(window / 2), window - 1 - Math.floor(window / 2)]
  let sum = 0
  for (let index = 0; index < Math.min(ahead, count); index++) sum += values[at + index * step] ?? 0
  for (let index = 0; index < count; index++) {
    if (index + ahead < count) sum += values[at + (index + ahead) * step] ?? 0
    if (index - behind - 1 >= 0) sum -= values[at + (index - behind - 1) * step] ?? 0
    line[index] = sum / (Math.min(index + ahead, count - 1) - Math.max(index - behind, 0) + 1)
  }
  for (let index = 0; index < count; index++) values[at + index * step] = line[index] ?? 0
}

/** The middle of each of 64 × 64 parts. */
function decimated(values: Float32Array, width: number, height: number): Float32Array {
  const small = new Float32Array(SIDE * SIDE)
  for (let row = 0; row < SIDE; row++) {
    const from = Math.floor(((row + 0.5) * height) / SIDE) * width
    for (let column = 0; column < SIDE; column++) {
      small[row * SIDE + column] = values[from + Math.floor(((column + 0.5) * width) / SIDE)] ?? 0
    }
  }
  return small
}

/** By how much neighbours differ, in per cent of all there is, summed up. */
function qualityOf(small: Float32Array): number {
  let sum = 0
  const difference = (a: number, b: number) => Math.abs(Math.trunc((((small[a] ?? 0) - (small[b] ?? 0)) * 100) / 255))
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const here = row * SIDE + column
      if (row + 1 < SIDE) sum += difference(here, here + SIDE)
      if (column + 1 < SIDE) sum += difference(here, here + 1)
    }
  }
  return Math.min(100, Math.trunc(sum / 90))
}

/** Waves 1 to 16 of the cosine transform, without the constant one: a row for each. */
const waves = Array.from({ length: FREQUENCIES }, (_, wave) =>
  Float32Array.from(
    { length: SIDE },
    (__, at) => Math.sqrt(2 / SIDE) * Math.cos((Math.PI / 2 / SIDE) * (wave + 1) * (2 * at + 1)),
  ),
)

/** How strong each of 16 × 16 waves is, down and across. */
function spectrum(small: Float32Array): Float32Array {
  const down = waves.map((wave) =>
    Float32Array.from({ length: SIDE }, (_, column) => {
      let sum = 0
      for (let row = 0; row < SIDE; row++) sum += (wave[row] ?? 0) * (small[row * SIDE + column] ?? 0)
      return sum
    }),
  )
  const found = down.flatMap((row) =>
    waves.map((wave) => row.reduce((sum, value, at) => sum + value * (wave[at] ?? 0), 0)),
  )
  return Float32Array.from(found)
}

/** A bit for each: whether it is above the median. The last one comes first. */
function hexOf(strengths: Float32Array): string {
  const median = strengths.toSorted()[strengths.length / 2 - 1] ?? 0
  let hex = ''
  for (let at = strengths.length - 4; at >= 0; at -= 4) {
    const bits = [0, 1, 2, 3].reduce((sum, bit) => sum + ((strengths[at + bit] ?? 0) > median ? 1 << bit : 0), 0)
    hex += bits.toString(16)
  }
  return hex
}
