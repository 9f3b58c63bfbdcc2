/**
 * Another Matrix server, with every file there could be: a media ID begins with how many bytes its file has, and no two files
 * are alike. Answers from memory, in pieces as from a disk, in multipart/mixed without a length of its own for the file, as most
 * servers do. `/asked/PREFIX` says how many requests there have been for media IDs that begin so. Prints its port. Arguments, for TLS: the
 * files of a certificate and its key, and `close` to end each connection after its answer.
 */
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

const DOWNLOAD = '/_matrix/federation/v1/media/download/'
const ASKED = '/asked/'
const BOUNDARY = 'bench0boundary0bench'
const HEAD = Buffer.from(
  `\r\n--${BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${BOUNDARY}\r\nContent-Type: video/mp4\r\n\r\n`,
)
const TAIL = Buffer.from(`\r\n--${BOUNDARY}--\r\n`)

const asked: string[] = []
/** All files are of the same bytes but for their first ones: only the kernel copies them. Given in one write, TLS would encrypt all before any leaves. */
const PIECE = Buffer.alloc(64 * 1024, '.')

const [certificate = '', key = '', after = ''] = process.argv.slice(2)
const end = after === 'close' ? { Connection: 'close' } : {}

const answer: RequestListener = (request, response) => {
  const { url = '' } = request
  if (url.startsWith(DOWNLOAD)) return sendFile(response, /^[^?]*/.exec(url.slice(DOWNLOAD.length))?.[0] ?? '')
  if (url.startsWith(ASKED)) return void response.end(String(countOf(url.slice(ASKED.length))))
  response.writeHead(404, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify({ errcode: 'M_UNRECOGNIZED', error: 'only downloads for servers' }))
}

const server = certificate
  ? createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) }, answer)
  : createServer(answer)

function sendFile(response: ServerResponse, mediaId: string): void {
  asked.push(mediaId)
  const size = Number.parseInt(mediaId, 10)
  const first = Buffer.from(`${mediaId}\n`)
  response.writeHead(200, {
    'Content-Type': `multipart/mixed; boundary=${BOUNDARY}`,
    'Content-Length': HEAD.length + size + TAIL.length,
    ...end,
  })
  response.write(Buffer.concat([HEAD, first]))
  sendRest(response, size - first.length)
}

/** One piece after the other, as fast as they are taken. */
function sendRest(response: ServerResponse, bytes: number): void {
  let left = bytes
  while (left > 0) {
    const piece = PIECE.subarray(0, Math.min(left, PIECE.length))
    left -= piece.length
    if (!response.write(piece)) return void response.once('drain', () => sendRest(response, left))
  }
  response.end(TAIL)
}

function countOf(prefix: string): number {
  return asked.filter((mediaId) => mediaId.startsWith(prefix)).length
}

// Longer than any row: no measurement is to meet a connection that ends.
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', () => console.log(`port ${(server.address() as AddressInfo).port}`))
