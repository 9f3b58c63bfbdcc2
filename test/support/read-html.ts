import type { Facts } from '../../src/previews/facts.ts'
import { Markup } from '../../src/previews/markup.ts'
import { PageReader } from '../../src/previews/page-reader.ts'

const PIECE = 64 * 1024

/** The facts of a page that is there already, read in pieces as one that comes in. */
export function readHtml(html: string, url: URL): Facts {
  const reader = new PageReader(url)
  const markup = new Markup(reader, { xml: false })
  for (let at = 0; at < html.length; at += PIECE) markup.write(html.slice(at, at + PIECE))
  markup.end()
  return reader.end()
}
