/**
 * Web sites on every address of the loopback, with every page there could be: `/BYTES/ANYTHING` is one of so many bytes, with a head
 * and a text like those of a newspaper, and without a picture. Prints its port.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const HEAD = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page of the bench</title>
<meta property="og:title" content="What happened &amp; why"><meta property="og:site_name" content="The Bench">
<meta property="og:type" content="article"><meta property="og:description" content="${'Something happened again. '.repeat(12)}">
<script>${'var unused = "<p>not a text</p>";'.repeat(100)}</script><style>${'.a > .b { color: red }'.repeat(100)}</style></head>
<body><nav><ul>${'<li><a href="/elsewhere">Elsewhere</a></li>'.repeat(40)}</ul></nav><article>`
const PARAGRAPH = `<p class="text">It is a <a href="/fact">fact</a> that words follow words &ndash; ${'and so they go on, '.repeat(20)}</p>\n`
const TAIL = '</article><footer>The end</footer></body></html>'

/** One memory for all pages of a size. */
const pages = new Map<number, Buffer>()

const server = createServer(({ url = '' }, response) => {
  const page = pageOf(Number.parseInt(url.slice(1), 10))
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Length': page.length })
  response.end(page)
})

function pageOf(bytes: number): Buffer {
  const known = pages.get(bytes)
  if (known) return known
  const paragraphs = Math.max(0, Math.round((bytes - HEAD.length - TAIL.length) / PARAGRAPH.length))
  const page = Buffer.from(HEAD + PARAGRAPH.repeat(paragraphs) + TAIL)
  pages.set(bytes, page)
  return page
}

server.listen(0, '0.0.0.0', () => console.log(`port ${(server.address() as AddressInfo).port}`))
