import { Buffer } from 'node:buffer'
import { PageDecoder } from './charset.ts'
import { resolveEntities } from './markup.ts'
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

/**
 * The text of an element in XML, as `Markup` tells it: some elements are text only in HTML (`title`), so that there what marks
 * sections comes along.
 */
export function textInXml(told: string): string {
  return resolveEntities(told.replaceAll(/<!\[CDATA\[([^]*?)\]\]>/g, '$1'))
}
