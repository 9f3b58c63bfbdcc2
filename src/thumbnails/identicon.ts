import { createHash } from 'node:crypto'
import { type Colour, palettePng } from './png.ts'

const background: Colour = [224, 224, 224]
const foregrounds: readonly Colour[] = [
  [45, 79, 255],
  [254, 180, 44],
  [226, 121, 234],
  [30, 179, 253],
  [232, 77, 65],
  [49, 203, 115],
  [141, 69, 170],
]
const gridCells = 5

/**
 * The picture that stands for a seed: a PNG of `width × height` pixels, two colours, a 5 × 5 pattern that is its own
 * mirror image.
 *
 * Square ones have pixel for pixel what MMR draws (with Sigil: the first byte of the seed's MD5 picks the colour, the
 * bits of the next two fill three columns, each from top to bottom). MMR hashes the path's `/` as part of the seed:
 * give it with the slash, `/alice`. Where the height differs from the width, MMR draws a square and stretches it with
 * soft edges; here it is stretched with hard ones.
 */
export function identicon(seed: string, size: { readonly width: number; readonly height: number }): Buffer {
  const digest = createHash('md5').update(seed).digest()
  const foreground = foregrounds[digest.readUInt8(0) % foregrounds.length] ?? background
  const rows = packRows(pattern(digest), size)
  return palettePng(size, { palette: [background, foreground], bitsPerPixel: 1 }, rows)
}

/** Which of the 5 × 5 cells are filled, row by row. */
function pattern(digest: Buffer): readonly (readonly boolean[])[] {
  const bits = digest.readUInt16BE(1)
  const cells = Array.from({ length: gridCells }, (_, index) => index)
  return cells.map((row) =>
    cells.map((column) => {
      const fromTheLeft = Math.min(column, gridCells - 1 - column)
      return ((bits >> (15 - (fromTheLeft * gridCells + row))) & 1) === 1
    }),
  )
}

/** The pixels as PNG wants them at one bit each: every row begins with its filter (0, none), eight pixels a byte. */
function packRows(
  pattern: readonly (readonly boolean[])[],
  { width, height }: { readonly width: number; readonly height: number },
): Buffer {
  const empty = packRow([], width)
  const rows = pattern.map((cells) => packRow(cells, width))
  // The pattern is laid out on a square of the width; stretching it picks the square's row for each row of the result.
  return Buffer.concat(
    Array.from({ length: height }, (_, y) => {
      const row = cellAt(Math.floor(((y + 0.5) * width) / height), width)
      return row === undefined ? empty : (rows[row] ?? empty)
    }),
  )
}

function packRow(cells: readonly boolean[], width: number): Buffer {
  const row = Buffer.alloc(1 + Math.ceil(width / 8))
  for (let x = 0; x < width; x++) {
    const column = cellAt(x, width)
    if (column === undefined || cells[column] !== true) continue
    const byte = 1 + (x >> 3)
    row.writeUInt8(row.readUInt8(byte) | (0x80 >> (x & 7)), byte)
  }
  return row
}

/** The cell at a distance from the edge, undefined in the margin: half a cell wide, wider where the size has a remainder. */
function cellAt(position: number, width: number): number | undefined {
  const cell = Math.floor(width / (gridCells + 1))
  const index = Math.floor((position - Math.floor(cell / 2)) / cell)
  return index >= 0 && index < gridCells ? index : undefined
}
