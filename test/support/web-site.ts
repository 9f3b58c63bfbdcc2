/** A small web site of the loopback whose pages a test writes, and what it was asked for. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import sharp from 'sharp'

export type Script = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>

export interface WebSite extends AsyncDisposable {
  readonly urlOf: (path: string) => string
  /** Puts a page there, in place of what was there before. */
  readonly page: (path: string, html: string, headers?: Readonly<Record<string, string>>) => void
  /** Puts a PNG of this size there, in a colour, and gives its bytes. */
  readonly picture: (path: string, width: number, height: number, colour?: string) => Promise<Buffer>
  readonly script: (path: string, script: Script) => void
  /** Paths, in the order in which they were asked for. */
  readonly requests: readonly string[]
  readonly languages: readonly (string | undefined)[]
  readonly asked: (path: string) => number
}

/** The configuration under which previews of the loopback may be made. */
export const LOOPBACK_ALLOWED = { disallowedNetworks: [], allowedNetworks: ['127.0.0.0/8'] } as const

/** Where a client asks for the preview of an address. */
export const previewPath = (url: string): string =>
  `/_matrix/client/v1/media/preview_url?url=${encodeURIComponent(url)}`

export async function startWebSite(): Promise<WebSite> {
  const scripts = new Map<string, Script>()
  const requests: string[] = []
  const languages: (string | undefined)[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push(path)
    languages.push(request.headers['accept-language'])
    const script = scripts.get(path)
    if (script) void script(response, request)
    else response.writeHead(404).end('not here')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    urlOf: (path) => `http://127.0.0.1:${port}${path}`,
    page: (path, html, headers) => void scripts.set(path, send('text/html; charset=utf-8', html, headers)),
    picture: async (path, width, height, colour = '#c02020') => {
      const bytes = await sharp({ create: { width, height, channels: 3, background: colour } })
        .png()
        .toBuffer()
      scripts.set(path, send('image/png', bytes))
      return bytes
    },
    script: (path, script) => void scripts.set(path, script),
    requests,
    languages,
    asked: (path) => requests.filter((each) => each === path).length,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A page that says this in Open Graph, by the names of its properties without `og:`. */
export function pageSaying(said: Readonly<Record<string, string>>): string {
  const metas = Object.entries(said).map(([name, value]) => `<meta property="og:${name}" content="${value}">`)
  return `<!doctype html><html><head>${metas.join('')}</head><body></body></html>`
}

function send(type: string, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Script {
  return (response) => void response.writeHead(200, { 'content-type': type, ...headers }).end(body)
}
