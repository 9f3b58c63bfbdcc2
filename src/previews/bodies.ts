import { Buffer } from 'node:buffer'
import { PageDecoder } from './charset.ts'
import type { Source } from './preview.ts'

export interface Begin {
  readonly bytes: Buffer
  /** Whether that is all there is. */
  readonly whole: boolean
}

/** The first `most` bytes of what an address gave; the rest is left. */
export async function beginOf({ body }: Pick<Source, 'body'>, most: number): Promise<Begin> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of body) {
    const bytes = Buffer.from(piece)
    pieces.push(bytes)
    length += bytes.length
    if (length > most) return { bytes: Buffer.concat(pieces).subarray(0, most), whole: false }
  }
  return { bytes: Buffer.concat(pieces, length), whole: true }
}

/** The text of some bytes; the charset is found out as for pages. */
export function textOf(bytes: Buffer, charset: string | undefined): string {
  const decoder = new PageDecoder(charset)
  return decoder.decode(bytes) + decoder.end()
}

/** Text of XML from an element that is text only in HTML (`title`): what marks sections in XML is a part of it there. */
export function withoutSections(text: string): string {
  return text.replaceAll(/<!\[CDATA\[([^]*?)\]\]>/g, '$1')
}
