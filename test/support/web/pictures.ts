import { createHash } from 'node:crypto'
import sharp from 'sharp'

/** `…/name-640x480.jpg` is a picture of that size, on every host; its colour depends on where it is. */
const PICTURE = /\/[^/]*-(\d+)x(\d+)\.(png|jpe?g|webp|gif|svg|ico)$/

const TYPES = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  svg: 'image/svg+xml',
  ico: 'image/x-icon',
}

export interface Drawn {
  readonly type: string
  readonly bytes: Buffer
}

/** The picture that a path names, if it names one. */
export async function drawPicture(path: string): Promise<Drawn | undefined> {
  const [, width = '', height = '', format = ''] = PICTURE.exec(path) ?? []
  if (format === '') return undefined
  const [red = 0, green = 0, blue = 0] = createHash('sha256').update(path).digest()
  const size = { width: Number(width), height: Number(height) }
  const type = TYPES[format as keyof typeof TYPES]
  if (format === 'svg') return { type, bytes: svg(size, `rgb(${red},${green},${blue})`) }
  const canvas = sharp({ create: { ...size, channels: 3, background: { r: red, g: green, b: blue } } })
  if (format === 'ico') return { type, bytes: icon(size, await canvas.png().toBuffer()) }
  return { type, bytes: await canvas.toFormat(format === 'jpg' ? 'jpeg' : (format as 'png')).toBuffer() }
}

function svg({ width, height }: { readonly width: number; readonly height: number }, colour: string): Buffer {
  const root = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">`
  return Buffer.from(`${root}<rect width="100%" height="100%" fill="${colour}"/></svg>`)
}

/** An icon file with one PNG in it. */
function icon({ width, height }: { readonly width: number; readonly height: number }, png: Buffer): Buffer {
  const header = Buffer.alloc(22)
  header.writeUInt16LE(1, 2)
  header.writeUInt16LE(1, 4)
  header.writeUInt8(width % 256, 6)
  header.writeUInt8(height % 256, 7)
  header.writeUInt16LE(32, 12)
  header.writeUInt32LE(png.length, 14)
  header.writeUInt32LE(header.length, 18)
  return Buffer.concat([header, png])
}
