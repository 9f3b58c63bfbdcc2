/** Sites that are slow, endless, too large, broken off or hostile; each path is another trouble. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { pngBomb } from '../images.ts'

const MIB = 1024 * 1024
const HEAD = '<!doctype html><html><head><title>So far so good</title></head><body>'
const HTML = { 'content-type': 'text/html; charset=utf-8' }

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** For what is no proper answer. */
  readonly socket: Socket
  /** Below the trouble's name. */
  readonly rest: string
}

export interface Trouble {
  /** What becomes of the preview: it has what came, or that and a picture never, or there is none. */
  readonly gives: 'what came' | 'nothing'
  readonly answer: (exchange: Exchange) => unknown
}

/** A whole page that is just that large. */
const sized =
  (filling: string, bytes: number, end = ''): Trouble['answer'] =>
  ({ response }) => {
    const repeated = filling.repeat(Math.ceil((bytes - HEAD.length) / filling.length))
    return response.writeHead(200, HTML).end(HEAD + repeated + end)
  }

/** Writes for as long as somebody reads. */
function endlessly(response: ServerResponse, piece: string | Buffer): void {
  const write = () => {
    while (!response.destroyed && response.write(piece));
  }
  response.on('drain', write)
  write()
}

/** A page that is fine, and has a picture that is not. */
const withPicture =
  (answer: Trouble['answer']): Trouble['answer'] =>
  (exchange) => {
    if (exchange.rest === '/picture.png') return answer(exchange)
    const picture = `${exchange.request.url ?? ''}/picture.png`
    return exchange.response.writeHead(200, HTML).end(`<meta property="og:image" content="${picture}">${HEAD}`)
  }

const PNG = { 'content-type': 'image/png' }

export const TROUBLES: Readonly<Record<string, Trouble>> = {
  'never answers': { gives: 'nothing', answer: () => {} },
  'hangs up': { gives: 'nothing', answer: ({ socket }) => socket.destroy() },
  'resets the connection': { gives: 'nothing', answer: ({ socket }) => socket.resetAndDestroy() },
  'speaks no HTTP': { gives: 'nothing', answer: ({ socket }) => socket.end('220 mail.test ESMTP ready\r\n') },
  'has headers without end': {
    gives: 'nothing',
    answer: ({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const write = () => {
        while (!socket.destroyed && socket.write(`x-filling: ${'x'.repeat(1000)}\r\n`));
      }
      socket.on('drain', write)
      write()
    },
  },
  'has hints without end': {
    gives: 'nothing',
    answer: async ({ socket }) => {
      while (!socket.destroyed) {
        if (!socket.write('HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n'.repeat(20))) await pause(20)
        await pause(5)
      }
    },
  },
  'is slow': {
    gives: 'what came',
    answer: async ({ response }) => {
      response.writeHead(200, HTML).write(HEAD)
      while (!response.destroyed) {
        response.write('<p>.')
        await pause(200)
      }
    },
  },
  'is slow with its headers': {
    gives: 'nothing',
    answer: async ({ socket }) => {
      for (const character of `HTTP/1.1 200 OK\r\nx-slow: ${'x'.repeat(10_000)}`) {
        if (socket.destroyed) return
        socket.write(character)
        await pause(50)
      }
    },
  },
  'is endless': {
    gives: 'what came',
    answer: ({ response }) => {
      response.writeHead(200, HTML).write(HEAD)
      endlessly(response, '<p>and so on</p>'.repeat(1000))
    },
  },
  'is 5 GiB large, and says so': {
    gives: 'what came',
    answer: ({ response }) => {
      response.writeHead(200, { ...HTML, 'content-length': 5 * 1024 * MIB }).write(HEAD)
      endlessly(response, '<p>and so on</p>'.repeat(1000))
    },
  },
  'is a gzip bomb': {
    gives: 'what came',
    answer: ({ response }) => response.writeHead(200, { ...HTML, 'content-encoding': 'gzip' }).end(bombs().gzip),
  },
  'is a Brotli bomb': {
    gives: 'what came',
    answer: ({ response }) => response.writeHead(200, { ...HTML, 'content-encoding': 'br' }).end(bombs().brotli),
  },
  'is a bomb within a bomb': {
    gives: 'nothing',
    answer: ({ response }) =>
      response.writeHead(200, { ...HTML, 'content-encoding': 'gzip, gzip' }).end(gzipSync(bombs().gzip)),
  },
  'is compressed as nobody can': {
    gives: 'nothing',
    answer: ({ response }) => response.writeHead(200, { ...HTML, 'content-encoding': 'pigeon' }).end(HEAD),
  },
  'says more bytes than come': {
    gives: 'what came',
    answer: ({ socket }) =>
      socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5000\r\n\r\n${HEAD}`),
  },
  'says fewer bytes than come': {
    gives: 'what came',
    answer: ({ socket }) =>
      socket.end(
        `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: ${HEAD.length}\r\n\r\n${HEAD}<p>unsaid`,
      ),
  },
  'breaks off within its text': {
    gives: 'what came',
    answer: ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n`)
      socket.write(`${HEAD.length.toString(16)}\r\n${HEAD}\r\n`, () => setTimeout(() => socket.resetAndDestroy(), 100))
    },
  },
  'has a chunk that is none': {
    gives: 'what came',
    answer: ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n`)
      socket.write(`${HEAD.length.toString(16)}\r\n${HEAD}\r\n`, () => setTimeout(() => socket.end('zz\r\nx\r\n'), 100))
    },
  },
  'redirects for ever': {
    gives: 'nothing',
    answer: ({ request, response }) => response.writeHead(302, { location: `${request.url ?? ''}/x` }).end(),
  },
  'redirects to itself': {
    gives: 'nothing',
    answer: ({ request, response }) => response.writeHead(302, { location: request.url ?? '' }).end(),
  },
  'has a redirect whose body is endless': {
    gives: 'nothing',
    answer: ({ response }) => {
      response.writeHead(302, { location: '/hangs%20up' })
      endlessly(response, 'moved '.repeat(10_000))
    },
  },
  'has 10 MiB of paragraphs': {
    gives: 'what came',
    answer: sized('<p class="a b c">Some words of text.</p>\n', 10 * MIB),
  },
  'has 10 MiB without a space': { gives: 'what came', answer: sized('x', 10 * MIB) },
  'has elements two million deep': { gives: 'what came', answer: sized('<div>', 10 * MIB) },
  'has a million closing tags': { gives: 'what came', answer: sized('</p></x>', 8 * MIB) },
  'has 100,000 meta elements': { gives: 'what came', answer: sized('<meta property="og:x" content="y">', 4 * MIB) },
  'has 100,000 attributes': { gives: 'what came', answer: sized(' a=b', 4 * MIB, '>') },
  'has an attribute of 8 MiB': { gives: 'what came', answer: sized('a&amp;', 8 * MIB, '">') },
  'has JSON-LD of 5 MiB': {
    gives: 'what came',
    answer: ({ response }) =>
      response
        .writeHead(200, HTML)
        .end(`${HEAD}<script type="application/ld+json">${'[{"@graph":'.repeat(MIB / 2)}</script>`),
  },
  'has 2 MiB of comment marks': { gives: 'what came', answer: sized('<!--<!-', 2 * MIB) },
  'has a picture that never comes': { gives: 'what came', answer: withPicture(() => {}) },
  'has an endless picture': {
    gives: 'what came',
    answer: withPicture(({ response }) => {
      response.writeHead(200, PNG).write(Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'))
      endlessly(response, Buffer.alloc(64 * 1024))
    }),
  },
  'has a picture of a gigapixel': {
    gives: 'what came',
    answer: withPicture(({ response }) => response.writeHead(200, PNG).end(pngBomb(32_000, 32_000))),
  },
  'has a page for a picture': {
    gives: 'what came',
    answer: withPicture(({ response }) => response.writeHead(200, PNG).end(HEAD)),
  },
}

let made: { readonly gzip: Buffer; readonly brotli: Buffer } | undefined

/** A gibibyte and a quarter of one, in well under a megabyte and a few hundred bytes. */
function bombs() {
  // gzip files may follow one another (RFC 1952 section 2.2).
  const gzip = gzipSync(Buffer.alloc(16 * MIB, ' '))
  made ??= {
    gzip: Buffer.concat([gzipSync(HEAD), ...Array.from({ length: 64 }, () => gzip)]),
    brotli: brotliCompressSync(Buffer.concat([Buffer.from(HEAD), Buffer.alloc(256 * MIB, ' ')]), { params: { 1: 1 } }),
  }
  return made
}

export interface TroubledWeb extends AsyncDisposable {
  readonly urlOf: (trouble: string) => string
  /** Paths that were asked for, decoded. */
  readonly requests: readonly string[]
  /** Connections that are open at the moment. */
  readonly open: () => number
}

/** Starts all of them on one port. */
export async function startTroubles(address = '127.0.0.2'): Promise<TroubledWeb> {
  bombs()
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '').slice(1)
    requests.push(path)
    const [name = ''] = path.split('/', 1)
    const exchange = { request, response, socket: request.socket, rest: path.slice(name.length) }
    response.on('error', () => {})
    void TROUBLES[name]?.answer(exchange)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.listen(0, address)
  await once(server, 'listening')
  const listening = server.address()
  if (listening === null || typeof listening === 'string') throw new Error('the troubled web has no port')
  return {
    urlOf: (trouble) => `http://${address}:${listening.port}/${encodeURIComponent(trouble)}`,
    requests,
    open: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
