import { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { CHARSET_BYTES, PageDecoder } from './charset.ts'
import type { Facts } from './facts.ts'
import { isBlock } from './main-text.ts'
import { Markup, resolveEntities } from './markup.ts'
import { Nesting, nestingAttributes } from './nesting.ts'
import { PageReader } from './page-reader.ts'
import type { Source } from './preview.ts'
import { bounded, tidy } from './text.ts'

/** Between two pieces of a page other requests have their turn. In bytes or characters. */
const PIECE = 64 * 1024

/** Types of documents whose elements may end where they begin. */
const XML = /^(?:text\/xml|application\/xml|[^/]+\/[^/]+\+xml)$/

/**
 * Reads a page of HTML or XHTML (or a feed) in one pass; nothing in memory grows with it. Whatever is wrong with its markup or
 * its charset, there is an answer.
 *
 * @throws what reading the source throws
 */
export async function readPage(source: Pick<Source, 'url' | 'contentType' | 'charset' | 'body'>): Promise<Facts> {
  const reader = new PageReader(source.url)
  const markup = new Markup(reader, { xml: XML.test(source.contentType) })
  const decoder = new PageDecoder(source.charset)
  for await (const piece of piecesOf(source.body)) markup.write(decoder.decode(piece))
  markup.write(decoder.end())
  markup.end()
  return reader.end()
}

/** The bytes of a page: first as many as are searched for its charset, then as they come, with a break after each `PIECE`. */
async function* piecesOf(body: Readable): AsyncGenerator<Buffer> {
  let begin: Buffer | undefined = Buffer.alloc(0)
  let sinceBreak = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    const bytes: Buffer = begin ? Buffer.concat([begin, chunk]) : chunk
    begin = begin && bytes.length < CHARSET_BYTES ? bytes : undefined
    if (begin) continue
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE)
      if (sinceBreak + piece.length > PIECE) await setImmediate((sinceBreak = 0))
      sinceBreak += piece.length
      yield piece
    }
  }
  if (begin) yield begin
}

const LONGEST_TEXT = 4000

/** A piece of HTML as the text that people would see, on one line. */
export function readText(html: string): string {
  if (!/[<&]/.test(html)) return bounded(tidy(html), LONGEST_TEXT)
  let text = ''
  const nesting = new Nesting()
  const markup = new Markup(
    {
      wanted: new Map(nestingAttributes),
      open: (name, attributes, closed) => {
        if (!closed) nesting.open(name, attributes)
        if (isBlock(name)) text += ' '
      },
      close: (name) => {
        nesting.close(name)
        if (isBlock(name)) text += ' '
      },
      text: (piece) => {
        if (nesting.region !== 'out' && text.length < LONGEST_TEXT * 2) text += piece
      },
    },
    { xml: false },
  )
  markup.write(html.slice(0, PIECE))
  markup.end()
  return bounded(tidy(resolveEntities(text)), LONGEST_TEXT)
}
