/**
 * A Matrix server that answers with raw bytes, as a script says: whatever a server can send that an HTTP library would not let it.
 * Over TLS if it gets a certificate, and really listening on the loopback: put it into a small internet with `place`, or give
 * a process a hosts file and call it `name:port`.
 */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer as createPlainServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Certificate } from './authority.ts'

/** A request as it came in; its body, if it has one, is not looked at. */
export interface RawRequest {
  readonly method: string
  /** Path and query, byte for byte. */
  readonly target: string
  /** By lower-case name; of several with one name, all, joined with commas. */
  readonly headers: Readonly<Record<string, string>>
}

/** One request's side of a connection. */
export interface Conversation {
  /** Sends pieces as they are, each by itself, and no faster than they are taken. */
  send(...pieces: readonly (string | Uint8Array)[]): Promise<void>
  /** Closes the connection in good order. */
  end(): void
  /** Resets the connection (RST). */
  reset(): void
  /** Whether the other side has hung up. */
  readonly hungUp: () => boolean
  readonly onceHungUp: Promise<void>
}

/** What is said to a request. When it ends the connection stays open for the next one, unless the script closes it. */
export type Script = (talk: Conversation, request: RawRequest) => void | Promise<void>

export interface ScriptedOrigin extends AsyncDisposable {
  /** Of 127.0.0.1. */
  readonly port: number
  readonly requests: readonly RawRequest[]
  readonly connections: () => number
  /** Replaces what is said from now on. */
  say(script: Script): void
}

export async function startScriptedOrigin(
  options: { readonly certificate?: Certificate; readonly script?: Script } = {},
): Promise<ScriptedOrigin> {
  let script: Script = options.script ?? sending(response(404, { errcode: 'M_NOT_FOUND', error: 'nothing here' }))
  const requests: RawRequest[] = []
  // TCP connections, below TLS, by the port of the other side.
  const connected = new Map<number, Socket>()
  let connections = 0
  const accept = (socket: Socket) => {
    const { remotePort = 0 } = socket
    connections++
    connected.set(remotePort, socket)
    socket.on('error', () => {})
    socket.once('close', () => connected.delete(remotePort))
  }
  const converse = (socket: Socket) => {
    const gone = Promise.withResolvers<void>()
    socket.on('error', () => {})
    socket.once('close', () => gone.resolve())
    const talk = conversation(socket, connected.get(socket.remotePort ?? 0) ?? socket, gone.promise)
    listen(socket, async (request) => {
      requests.push(request)
      await script(talk, request)
    })
  }
  const server = options.certificate ? createTlsServer(options.certificate, converse) : createPlainServer(converse)
  server.on('tlsClientError', () => {})
  server.prependListener('connection', accept)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    requests,
    connections: () => connections,
    say: (next) => void (script = next),
    [Symbol.asyncDispose]: async () => {
      for (const socket of connected.values()) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A script that sends the same pieces to each request. */
export const sending =
  (...pieces: readonly (string | Uint8Array)[]): Script =>
  async (talk) =>
    await talk.send(...pieces)

/** Another script for each path, by the beginning of the request target; `''` is for all others. */
export const byPath =
  (scripts: Readonly<Record<string, Script>>): Script =>
  async (talk, request) => {
    const [, script] = Object.entries(scripts).find(([beginning]) => request.target.startsWith(beginning)) ?? []
    await (script ?? sending(response(404, { errcode: 'M_UNRECOGNIZED', error: 'no such endpoint' })))(talk, request)
  }

/** A whole HTTP/1.1 answer with the right length: an object becomes JSON. `headers` may be lines of any kind. */
export function response(
  status: number,
  body: string | Uint8Array | Readonly<Record<string, unknown>> = '',
  headers: readonly string[] = [],
): Buffer {
  const isObject = typeof body === 'object' && !(body instanceof Uint8Array)
  const bytes = Buffer.from(isObject ? JSON.stringify(body) : body)
  const lines = [...(isObject ? ['Content-Type: application/json'] : []), ...headers]
  return Buffer.concat([head(status, [...lines, `Content-Length: ${bytes.length}`]), bytes])
}

/** The head of an answer. */
export function head(status: number, headers: readonly string[]): Buffer {
  return Buffer.from(`HTTP/1.1 ${status} Status\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`, 'latin1')
}

export interface MixedShape {
  readonly boundary?: string
  readonly end?: '\r\n' | '\n'
  /** Before the first boundary: most servers send an empty line. */
  readonly lead?: string
  /** Of the second part. */
  readonly headers?: readonly string[]
  readonly json?: string
  /** Behind the last boundary; some servers forget the dashes. */
  readonly last?: string
}

/** The body of a `multipart/mixed` answer with a file. */
export function mixedBody(file: string | Uint8Array, shape: MixedShape = {}): Buffer {
  const { boundary = 'gc0p4Jq0M2Yt08jU534c0p', end = '\r\n', lead = end, json = '{}', last = `--${end}` } = shape
  const { headers = ['Content-Type: image/png', 'Content-Disposition: inline; filename="picture.png"'] } = shape
  const lines = ['Content-Type: application/json', '', json, `--${boundary}`, ...headers, '', '']
  return Buffer.concat([
    Buffer.from(`${lead}--${boundary}${end}${lines.join(end)}`),
    Buffer.from(file),
    Buffer.from(`${end}--${boundary}${last}`),
  ])
}

/** An answer of the signed endpoint, as Synapse gives it unless the shape says otherwise. */
export function mixed(file: string | Uint8Array, shape: MixedShape = {}, headers: readonly string[] = []): Buffer {
  const { boundary = 'gc0p4Jq0M2Yt08jU534c0p' } = shape
  return response(200, mixedBody(file, shape), [`Content-Type: multipart/mixed; boundary=${boundary}`, ...headers])
}

function conversation(socket: Socket, connection: Socket, gone: Promise<void>): Conversation {
  return {
    send: async (...pieces) => {
      for (const piece of pieces) {
        if (socket.destroyed) return
        if (!socket.write(piece)) await Promise.race([once(socket, 'drain').catch(() => {}), gone])
        // Each piece a packet of its own, as far as that can be had.
        if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve))
      }
    },
    end: () => void socket.end(),
    reset: () => void connection.resetAndDestroy(),
    hungUp: () => socket.destroyed,
    onceHungUp: gone,
  }
}

/** Hands requests over one after the other. */
function listen(socket: Socket, onRequest: (request: RawRequest) => Promise<void>): void {
  let text = ''
  let turn = Promise.resolve()
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const request = readHead(text.slice(0, end))
      text = text.slice(end + 4)
      turn = turn.then(() => onRequest(request))
    }
  })
}

function readHead(text: string): RawRequest {
  const [first = '', ...lines] = text.split('\r\n')
  const [method = '', target = ''] = first.split(' ')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(line.indexOf(':') + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return { method, target, headers }
}
