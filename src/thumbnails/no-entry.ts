import { type Colour, palettePng } from './png.ts'

const background: Colour = [224, 224, 224]
const sign: Colour = [184, 52, 44]
/** How finely edges are blended with the background. */
const shades = 16

/** Parts of the picture's side. */
const ringRadius = 0.36
const strokeWidth = 0.09

/**
 * The sign for "not allowed", a ring with a bar across, as a square PNG of `side` pixels: what stands for quarantined media
 * where administrators have no picture of their own. Without words, so that it needs no translation.
 */
export function noEntrySign(side: number): Buffer {
  const rows = Buffer.alloc(side * (side + 1))
  for (let y = 0; y < side; y++) {
    const row = y * (side + 1) + 1
    for (let x = 0; x < side; x++) rows.writeUInt8(shadeAt(x, y, side), row + x)
  }
  return palettePng({ width: side, height: side }, { palette: blends(), bitsPerPixel: 8 }, rows)
}

/** How much of a pixel the sign covers: 0 to `shades`, by the distance of the pixel's middle from the nearest edge. */
function shadeAt(x: number, y: number, side: number): number {
  const [right, down] = [x + 0.5 - side / 2, y + 0.5 - side / 2]
  const distance = Math.hypot(right, down)
  const halfStroke = (strokeWidth * side) / 2
  const outsideRing = Math.abs(distance - ringRadius * side) - halfStroke
  // From the upper left to the lower right, inside the ring.
  const outsideBar = distance < ringRadius * side ? Math.abs(right - down) / Math.SQRT2 - halfStroke : Infinity
  const covered = Math.min(1, Math.max(0, 0.5 - Math.min(outsideRing, outsideBar)))
  return Math.round(covered * shades)
}

function blends(): readonly Colour[] {
  return Array.from({ length: shades + 1 }, (_, shade) => {
    const blend = (from: number, to: number) => Math.round(from + ((to - from) * shade) / shades)
    return [blend(background[0], sign[0]), blend(background[1], sign[1]), blend(background[2], sign[2])] as const
  })
}
