import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { EndOfTurn } from '../lib/end-of-turn.ts'
import type { OpenObject } from '../datastores/datastore.ts'
import { CallerGone, Refused } from '../lib/errors.ts'
import type { FileAnswer } from './answers.ts'
import { sendFile } from './send-file.ts'

/** Sends a file of ten bytes, in chunks, to one client, and tells how that ended. */
async function send(read: (hangUp: () => void) => AsyncIterable<Uint8Array>): Promise<unknown> {
  const outcome = Promise.withResolvers<unknown>()
  await using closing = new AsyncDisposableStack()
  let closed = false
  const server = createServer((request, response) => {
    const open = async () => ({
      size: 10,
      read: () => read(() => request.socket.destroy()),
      [Symbol.asyncDispose]: async () => void (closed = true),
    })
    sendFile({ request, response, turn: new EndOfTurn() }, { ...FILE, open }, []).then(
      () => outcome.resolve('sent'),
      (error: unknown) => outcome.resolve(error),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.defer(() => server.close().closeAllConnections())
  const address = server.address()
  const client = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1')
  client.on('error', () => {}).resume()
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const ended = await outcome.promise
  client.destroy()
  expect(closed).toBe(true)
  return ended
}

const FILE: Omit<FileAnswer, 'open'> = {
  kind: 'file',
  size: 10,
  tag: 'tag',
  contentType: 'text/x',
  disposition: 'inline',
  fileName: null,
  openRangeBytes: 0,
}
const HALF = Buffer.from('01234')

async function* whole() {
  yield HALF
  yield HALF
}

async function* leftAtOnce(hangUp: () => void) {
  hangUp()
  yield HALF
  yield HALF
}

async function* leftInTheMiddle(hangUp: () => void) {
  yield HALF
  hangUp()
  yield HALF
}

async function* broken() {
  yield HALF
  throw new Error('the disk failed')
}

test('a file that is read to its end is sent', async () => {
  expect(await send(whole)).toBe('sent')
})

test('a client that leaves just before a chunk is sent does not keep the file open', async () => {
  expect(await send(leftAtOnce)).toBeInstanceOf(CallerGone)
  expect(await send(leftInTheMiddle)).toBeInstanceOf(CallerGone)
})

test('a file that cannot be read to its end fails, and does not look finished', async () => {
  expect(await send(broken)).toMatchObject({ message: 'the disk failed' })
})

test('A client that left while a file in memory was fetched is not waited for', async () => {
  const outcome = Promise.withResolvers<unknown>()
  await using closing = new AsyncDisposableStack()
  const bytes = Buffer.alloc(100_000)
  const server = createServer((request, response) => {
    const open = async () => {
      request.socket.destroy()
      await once(response, 'close')
      return { size: bytes.length, bytes, read: async function* () {}, async [Symbol.asyncDispose]() {} }
    }
    sendFile({ request, response, turn: new EndOfTurn() }, { ...FILE, size: bytes.length, open }, []).then(
      () => outcome.resolve('sent'),
      (error: unknown) => outcome.resolve(error),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.defer(() => server.close().closeAllConnections())
  const address = server.address()
  const client = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1')
  client.on('error', () => {}).resume()
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(await outcome.promise).toBeInstanceOf(CallerGone)
})

test('A file that may not be had any more when its bytes are open is refused, before anything of it is told', async () => {
  const gone = new Refused('quarantined', 'Not found')
  for (const [headers, waits] of [
    ['', 1],
    ['', 0],
    ['If-None-Match: *\r\n', 0],
  ] as const) {
    let asked = 0
    // Allowed as often as there are waits before the last.
    const mayStill = async () => {
      if (asked++ >= waits) throw gone
    }
    const { outcome, received } = await sendOnce({ ...FILE, mayStill, open: async () => OPENED }, headers)
    expect(outcome).toBe(gone)
    expect(received).toBe('')
  }
})

const OPENED: OpenObject = {
  size: 10,
  async *read() {
    yield Buffer.alloc(10)
  },
  async [Symbol.asyncDispose]() {},
}

/** How sending ended, and what the client had got by then. */
async function sendOnce(file: FileAnswer, headers: string): Promise<{ outcome: unknown; received: string }> {
  const outcome = Promise.withResolvers<unknown>()
  const server = createServer((request, response) => {
    sendFile({ request, response, turn: new EndOfTurn() }, file, []).then(
      () => outcome.resolve('sent'),
      (error: unknown) => outcome.resolve(error),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const client = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1')
  let received = ''
  client.on('data', (chunk) => void (received += String(chunk)))
  client.write(`GET / HTTP/1.1\r\nHost: a\r\n${headers}\r\n`)
  const ended = await outcome.promise
  client.destroy()
  server.close().closeAllConnections()
  return { outcome: ended, received }
}
