/**
 * Another Matrix server, with every file there could be: a media ID begins with how many bytes its file has, and no two files
 * are alike. Answers from a disk, piece by piece, in multipart/mixed without a length of its own for the file, as most
 * servers do. `/asked/PREFIX` says how many requests there have been for media IDs that begin so. Prints its port. Arguments, for TLS: the
 * files of a certificate and its key, and `close` to end each connection after its answer.
 */
import { readFileSync } from 'node:fs'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

const DOWNLOAD = '/_matrix/federation/v1/media/download/'
const ASKED = '/asked/'
const BOUNDARY = 'bench0boundary0bench'
const HEAD = Buffer.from(
  `\r\n--${BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${BOUNDARY}\r\nContent-Type: video/mp4\r\n\r\n`,
)
const MIB = 1024 * 1024
const TAIL = Buffer.from(`\r\n--${BOUNDARY}--\r\n`)

const asked: string[] = []
/** One file for all of a size. Given in one write from memory, TLS would encrypt all of it before any leaves. */
const contents = new Map<number, Promise<FileHandle>>()

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
  void sendRest(response, size, first.length)
}

async function sendRest(response: ServerResponse, size: number, start: number): Promise<void> {
  const content = contents.get(size) ?? makeFile(size)
  contents.set(size, content)
  const pieces = (await content).createReadStream({ start, autoClose: false })
  // Who asked may have left.
  await pipeline(pieces, response, { end: false }).catch(() => {})
  response.end(TAIL)
}

/** Without a name: it ends with this process. */
async function makeFile(size: number): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'cellarium-bench-origin-'))
  try {
    const file = await open(join(folder, 'content'), 'w+')
    for (let left = size; left > 0; left -= MIB) await file.write(Buffer.alloc(Math.min(left, MIB), '.'))
    return file
  } finally {
    await rm(folder, { recursive: true })
  }
}

function countOf(prefix: string): number {
  return asked.filter((mediaId) => mediaId.startsWith(prefix)).length
}

// Longer than any row: no measurement is to meet a connection that ends.
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', () => console.log(`port ${(server.address() as AddressInfo).port}`))
