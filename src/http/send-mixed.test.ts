import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { EndOfTurn } from '../lib/end-of-turn.ts'
import { CallerGone, Refused } from '../lib/errors.ts'
import type { FileAnswer, MixedAnswer } from './answers.ts'
import { sendMixed } from './send-mixed.ts'

const MIB = 1024 * 1024

interface Sending {
  readonly size?: number
  readonly read: (hangUp: () => void) => AsyncIterable<Uint8Array>
  readonly admit?: (bytes: number) => Promise<void>
  /** A client that takes nothing until it is told to. */
  readonly paused?: boolean
}

/** Sends a file to one client, and tells how that ended, what the client got, and whether the file was closed. */
async function send({ size = 10, read, admit = async () => {}, paused = false }: Sending) {
  const outcome = Promise.withResolvers<unknown>()
  await using cleanup = new AsyncDisposableStack()
  const state = { opened: 0, closed: 0 }
  const server = createServer((request, response) => {
    const file: FileAnswer = {
      kind: 'file',
      size,
      tag: 'tag',
      contentType: 'text/x',
      disposition: 'inline',
      fileName: null,
      openRangeBytes: 0,
      open: async () => {
        state.opened++
        return {
          size,
          read: () => read(() => request.socket.destroy()),
          [Symbol.asyncDispose]: async () => void state.closed++,
        }
      },
    }
    const answer: MixedAnswer = { kind: 'mixed', boundary: 'b'.repeat(32), file, admit }
    sendMixed({ request, response, turn: new EndOfTurn() }, answer, []).then(
      () => outcome.resolve('sent'),
      (error: unknown) => {
        outcome.resolve(error)
        response.destroy()
      },
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  cleanup.defer(() => server.close().closeAllConnections())
  const address = server.address()
  const client = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1')
  let received = 0
  let tail = ''
  client.on('error', () => {})
  client.on('data', (chunk) => {
    received += chunk.length
    tail = (tail + chunk.toString('latin1')).slice(-1000)
  })
  if (paused) client.pause()
  client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  cleanup.defer(() => void client.destroy())
  const owned = cleanup.move()
  return {
    client,
    outcome: outcome.promise,
    closed: once(client, 'close'),
    received: () => received,
    tail: () => tail,
    state,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const HALF = Buffer.from('01234')
const END = `\r\n--${'b'.repeat(32)}--\r\n`

async function* whole() {
  yield HALF
  yield HALF
}

test('what is around a file is sent with it, and the end only behind its last byte', async () => {
  await using sending = await send({ read: whole })
  expect(await sending.outcome).toBe('sent')
  await sending.closed
  expect(sending.tail().endsWith(`\r\n\r\n0123401234${END}`)).toBe(true)
  expect(sending.state).toEqual({ opened: 1, closed: 1 })
})

async function* broken() {
  yield HALF
  throw new Error('the disk failed')
}

test('a file that cannot be read to its end is cut off, and does not look finished', async () => {
  await using sending = await send({ read: broken })
  expect(await sending.outcome).toMatchObject({ message: 'the disk failed' })
  await sending.closed
  expect(sending.tail()).not.toContain(END)
  expect(sending.state).toEqual({ opened: 1, closed: 1 })
})

test('a server that leaves ends the reading', async () => {
  let ended = false
  const read = async function* (hangUp: () => void) {
    try {
      yield HALF
      hangUp()
      for (;;) yield HALF
    } finally {
      ended = true
    }
  }
  await using sending = await send({ size: 100_000, read })
  expect(await sending.outcome).toBeInstanceOf(CallerGone)
  expect(ended).toBe(true)
  expect(sending.state).toEqual({ opened: 1, closed: 1 })
})

test('a server that takes its time is waited for: what it has not taken is not read yet', async () => {
  const size = 64 * MIB
  const chunk = Buffer.alloc(MIB)
  let given = 0
  const read = async function* () {
    for (; given < size; given += chunk.length) yield chunk
  }
  await using sending = await send({ size, read, paused: true })
  let before = -1
  while (given !== before) {
    before = given
    await pause(200)
  }
  // Some MiB are in the buffers of both sockets.
  expect(given).toBeLessThan(size / 2)
  sending.client.resume()
  expect(await sending.outcome).toBe('sent')
  await sending.closed
  expect(sending.received()).toBeGreaterThan(size)
  expect(sending.tail().endsWith(END)).toBe(true)
})

async function* nothing() {}

test('a server that had enough gets nothing, and nothing is opened for it', async () => {
  const asked: number[] = []
  const admit = async (bytes: number) => {
    asked.push(bytes)
    throw new Refused('limited', 'enough')
  }
  await using sending = await send({ read: nothing, admit })
  expect(await sending.outcome).toMatchObject({ reason: 'limited' })
  expect(asked).toEqual([10])
  expect(sending.state).toEqual({ opened: 0, closed: 0 })
  expect(sending.received()).toBe(0)
})
