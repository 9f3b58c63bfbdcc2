import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from './processes.ts'
import { requireService } from './services.ts'

/** Films, recordings and PDF files for tests, made by ffmpeg when they are needed, or by hand. */

/** Three seconds, 160 × 120: red, then green, then blue, with a tone. */
const threeColours = [
  ['red', 'lime', 'blue'].flatMap((colour) => ['-f', 'lavfi', '-i', `color=${colour}:s=160x120:r=10:d=1`]),
  ['-f', 'lavfi', '-i', 'sine=440:d=3', '-filter_complex', 'concat=n=3'],
].flat()

/** Runs ffmpeg and gives the file that it makes, whose name says its type. */
export async function make(folder: string, name: string, args: readonly string[]): Promise<string> {
  const path = join(folder, name)
  const options = ['-v', 'error', '-nostdin', '-y', ...args]
  await runProgram({ command: [requireService('ffmpeg'), ...options, path] })
  return path
}

/** A film of three colours, encoded as told. */
export function film(folder: string, name: string, encoding: readonly string[] = []): Promise<string> {
  return make(folder, name, [...threeColours, ...encoding])
}

/** Two seconds: the first has a tone, the second is silent. */
export function recording(folder: string, name: string, encoding: readonly string[] = []): Promise<string> {
  const tone = ['-f', 'lavfi', '-i', "sine=440:d=2,volume='if(lt(t,1),8,0)':eval=frame"]
  return make(folder, name, [...tone, ...encoding])
}

/** The options of ffmpeg that give a recording a cover. */
export function withCover(picture: string): readonly string[] {
  return ['-i', picture, '-map', '0', '-map', '1', '-c:v', 'copy', '-disposition:v', 'attached_pic']
}

/** An MP4 or QuickTime file with this matrix of 1, 0 and -1 in its first track's header: how players turn it. */
export async function turned(path: string, [a, b, c, d]: readonly [number, number, number, number]): Promise<Buffer> {
  const bytes = await readFile(path)
  // Source: ISO/IEC 14496-12 section 8.3.2, version 0: the matrix stands 40 bytes after the version.
  const matrix = bytes.indexOf('tkhd') + 44
  for (const [index, value] of [a, b, 0, c, d, 0, 0, 0].entries())
    bytes.writeInt32BE(value * 65_536, matrix + index * 4)
  return bytes
}

export interface PdfPage {
  /** Points. */
  readonly width: number
  readonly height: number
  /** Red, green and blue, 0 to 1. */
  readonly colour: string
  /** What is drawn on it, in the operators of PDF. */
  readonly drawn?: string
}

/** A PDF file with pages of one colour each. Further objects are numbered from `3 + 2 × pages` on. */
export function pdfOf(pages: readonly PdfPage[], further: readonly string[] = []): Buffer {
  const ids = pages.map((_, index) => 3 + index * 2)
  const objects = [
    '1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj',
    `2 0 obj<</Type/Pages/Kids[${ids.map((id) => `${id} 0 R`).join(' ')}]/Count ${pages.length}>>endobj`,
    ...pages.flatMap(({ width, height, colour, drawn = '' }, index) => {
      const id = 3 + index * 2
      const drawing = `${colour} rg 0 0 ${width} ${height} re f ${drawn}`
      const box = `/MediaBox[0 0 ${width} ${height}]`
      return [
        `${id} 0 obj<</Type/Page/Parent 2 0 R${box}/Contents ${id + 1} 0 R>>endobj`,
        `${id + 1} 0 obj<</Length ${drawing.length}>>stream\n${drawing}\nendstream endobj`,
      ]
    }),
    ...further,
  ]
  return Buffer.from(`%PDF-1.4\n${objects.join('\n')}\ntrailer<</Root 1 0 R>>\n`)
}

/** An MP4 file that says in its first track that the track's data are in another file (Macintosh alias). */
export function referringTo(mp4: Buffer, path: string): Buffer {
  return withBox(mp4, ['moov', 'trak', 'mdia', 'minf', 'dinf', 'dref'], () => {
    const alias = Buffer.alloc(150)
    const name = Buffer.from(path)
    // The last part: an entry of type 2, the whole path; then the end of the entries.
    const entries = Buffer.concat([
      Buffer.from([0, 2, 0, name.length]),
      name,
      Buffer.alloc(name.length % 2),
      endOfAlias,
    ])
    const record = box('alis', Buffer.concat([Buffer.alloc(4), alias, entries]))
    return Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]), record])
  })
}

const endOfAlias = Buffer.from([0xff, 0xff, 0, 0])

function box(type: string, content: Buffer): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(content.length + 8)
  return Buffer.concat([size, Buffer.from(type, 'latin1'), content])
}

/** The same with new content for the first box at that path. */
function withBox(bytes: Buffer, [type = '', ...below]: readonly string[], change: (content: Buffer) => Buffer): Buffer {
  for (let at = 0; at + 8 <= bytes.length; at += bytes.readUInt32BE(at)) {
    if (bytes.toString('latin1', at + 4, at + 8) !== type) continue
    const end = at + bytes.readUInt32BE(at)
    const content = bytes.subarray(at + 8, end)
    const changed = below.length > 0 ? withBox(content, below, change) : change(content)
    return Buffer.concat([bytes.subarray(0, at), box(type, changed), bytes.subarray(end)])
  }
  throw new Error(`there is no box ${type}`)
}
