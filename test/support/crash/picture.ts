import { crc32 } from 'node:zlib'
import { pngChunk, quarters } from '../images.ts'

let picture: Promise<Buffer> | undefined
const END = 12

/** A picture with `text` in it that nobody sees, so that its bytes are like no other's. */
export async function pngOf(text: string): Promise<Buffer> {
  picture ??= quarters({ width: 600, height: 400 }).then((image) => image.png().toBuffer())
  const png = await picture
  const comment = pngChunk('tEXt', Buffer.from(`Comment\0${text} ${crc32(text)}`, 'latin1'))
  return Buffer.concat([png.subarray(0, -END), comment, png.subarray(-END)])
}
