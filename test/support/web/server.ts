/** The local web: many sites on one real HTTP server of the loopback. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { encode } from './charset.ts'
import type { Page } from './page.ts'
import { drawPicture } from './pictures.ts'

export interface WebRequest {
  /** Host, path and query, without the port. */
  readonly at: string
  readonly headers: IncomingMessage['headers']
}

export interface LocalWeb extends AsyncDisposable {
  readonly port: number
  readonly address: string
  /** The names of all sites. */
  readonly hosts: readonly string[]
  /** What it was asked for. */
  readonly requests: readonly WebRequest[]
  /** The whole URL of `host/path`. */
  readonly urlOf: (at: string) => string
  /** A text without the port of this web. */
  readonly plain: (text: string) => string
  /** Where a file with this SHA-256 (hex) was sent from, as a URL without port. */
  readonly sentFrom: (sha256: string) => string | undefined
}

/**
 * Starts it on an address of the loopback, 127.0.0.2 if not told otherwise: its neighbour 127.0.0.1 can be forbidden. A function
 * makes the pages that have to know the port.
 */
export async function startWeb(
  given: readonly Page[] | ((port: number) => readonly Page[]),
  address = '127.0.0.2',
): Promise<LocalWeb> {
  const byPlace = new Map<string, Page>()
  const requests: WebRequest[] = []
  const sent = new Map<string, string>()
  const place = { port: 0 }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const at = `${(request.headers.host ?? '').replace(/:\d+$/, '')}${request.url ?? ''}`
    requests.push({ at, headers: request.headers })
    // A page without a query of its own does not look at one.
    const page = byPlace.get(at) ?? byPlace.get(at.split('?', 1)[0] ?? '')
    const picture = page ? undefined : await drawPicture(at)
    const bytes = page ? await bytesOf(page, place.port) : (picture?.bytes ?? Buffer.from('not here'))
    if (page || picture) sent.set(createHash('sha256').update(bytes).digest('hex'), `http://${at}`)
    const status = page ? (page.status ?? 200) : picture ? 200 : 404
    const type = page ? (page.type ?? 'text/html; charset=utf-8') : (picture?.type ?? 'text/plain')
    response.writeHead(status, { 'content-type': type, 'content-length': bytes.length, ...headersOf(page, place.port) })
    response.end(bytes)
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, address)
  await once(server, 'listening')
  const listening = server.address()
  if (listening === null || typeof listening === 'string') throw new Error('the local web has no port')
  place.port = listening.port
  const pages = typeof given === 'function' ? given(place.port) : given
  for (const page of pages) byPlace.set(page.at, page)
  return {
    port: place.port,
    address,
    hosts: [...new Set([...pages.map(({ at }) => hostOf(at)), 'img.test'])],
    requests,
    urlOf: (at) => withPort(`http://${at}`, place.port),
    plain: (text) => text.replaceAll(`:${place.port}`, ''),
    sentFrom: (sha256) => sent.get(sha256),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function hostOf(at: string): string {
  return at.split('/', 1)[0] ?? ''
}

async function bytesOf(page: Page, port: number): Promise<Buffer> {
  if (typeof page.body !== 'string') return await page.body()
  return encode(withPort(page.body, port), page.charset ?? 'utf-8')
}

function headersOf(page: Page | undefined, port: number): Record<string, string> {
  const headers = Object.entries(page?.headers ?? {})
  return Object.fromEntries(headers.map(([name, value]) => [name, withPort(value, port)]))
}

/** Names below .test are ours, and found at our port. */
function withPort(text: string, port: number): string {
  return text.replace(/(\/\/(?:[\p{L}\p{N}_-]+\.)+test)(?![\p{L}\p{N}_.:-])/gu, `$1:${port}`)
}
