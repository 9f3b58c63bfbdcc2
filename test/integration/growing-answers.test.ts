import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { HELD_BACK } from '../../src/datastores/growing-file.ts'
import { Refused } from '../../src/lib/errors.ts'
import { collect } from '../support/bytes.ts'
import { openTestFiles, readSome } from '../support/growing.ts'
import { type Coming, type GrowingRoute, startGrowingRoute } from '../support/growing-route.ts'

const SIZE = 300_000
const SENT = randomBytes(SIZE)
/** Enough for first bytes to be sent, also of a file of unknown length. */
const FIRST = 100_000
const BROKEN = new Refused('origin_unavailable', 'the server broke off')

let route: GrowingRoute
beforeAll(async () => {
  route = await startGrowingRoute()
})
afterAll(() => route[Symbol.asyncDispose]())

/** A file of which the first bytes have come. */
function begun(announced?: number): Coming {
  const file = route.coming(announced)
  void file.source.send(SENT.subarray(0, FIRST))
  return file
}

/** The rest comes, and is stored. */
function finish(file: Coming): void {
  void file.source.send(SENT.subarray(FIRST))
  file.source.end()
  file.allow()
}

/** What came before the connection broke. */
async function broken(response: IncomingMessage): Promise<Buffer> {
  const copies: Buffer[] = []
  await expect(
    (async () => {
      for await (const chunk of response) copies.push(chunk)
    })(),
  ).rejects.toMatchObject({ code: 'ECONNRESET' })
  return Buffer.concat(copies)
}

const LENGTHS = [
  ['of a known length', SIZE],
  ['of an unknown length', undefined],
] as const

describe.each(LENGTHS)('A file %s, while it comes in', (_, announced) => {
  test('is sent as it comes, and its end once it is stored', async () => {
    const file = begun(announced)
    const response = await route.ask(file.path)
    expect(response.statusCode).toBe(200)
    expect(response.headers).toMatchObject({
      'content-type': 'video/mp4',
      'content-disposition': 'inline; filename=cat.mp4',
      'cache-control': 'private, max-age=259200, immutable',
      'accept-ranges': 'bytes',
      'access-control-allow-origin': '*',
      'content-security-policy': expect.stringContaining('sandbox'),
      ...(announced === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(SIZE) }),
    })
    expect(response.headers).not.toHaveProperty('etag')
    const body = response[Symbol.asyncIterator]()
    const early = await readSome(body, FIRST - HELD_BACK)
    void file.source.send(SENT.subarray(FIRST))
    file.source.end()
    const more = await readSome(body, SIZE - HELD_BACK - early.length)
    expect(early.length + more.length).toBe(SIZE - HELD_BACK)
    await file.received
    file.allow()
    expect(Buffer.concat([early, more, await readSome(body, HELD_BACK)]).equals(SENT)).toBe(true)
    expect(await body.next()).toMatchObject({ done: true })
    expect(response.complete).toBe(true)
  })

  test('that breaks off, or is refused at its end, ends the connection: no client or cache takes it for whole', async () => {
    for (const whole of [false, true]) {
      const file = begun(announced)
      const response = await route.ask(file.path)
      const received = broken(response)
      if (whole) {
        void file.source.send(SENT.subarray(FIRST))
        file.source.end()
        await file.received
        file.refuse(new Refused('forbidden', 'this content is not allowed here'))
      } else {
        file.source.break(BROKEN)
      }
      const bytes = await received
      expect(bytes.length).toBeLessThanOrEqual(SIZE - HELD_BACK)
      expect(SENT.subarray(0, bytes.length).equals(bytes)).toBe(true)
      expect(response.complete).toBe(false)
      await file.stored.catch(() => {})
    }
  })

  test('that fails before anything was sent is an error like any other', async () => {
    const file = route.coming(announced)
    const asked = route.ask(file.path)
    void file.source.send(SENT.subarray(0, announced === undefined ? HELD_BACK : 0))
    file.source.break(BROKEN)
    const response = await asked
    expect(response.statusCode).toBe(502)
    expect(JSON.parse(String(await collect(response)))).toMatchObject({ error: 'the server broke off' })
  })

  test.each([
    ['HEAD', {}, 200, 0],
    ['GET', { 'if-none-match': '"else"' }, 200, SIZE],
    ['GET', { range: 'bytes=10-19', 'if-range': '"else"' }, 200, SIZE],
  ] as const)('answers %s %j once it is stored, with all headers', async (method, headers, status, length) => {
    const file = begun(announced)
    const asked = route.ask(file.path, headers, method)
    await answersOnlyWhenStored(file, asked)
    const response = await asked
    expect(response.statusCode).toBe(status)
    const { tag } = await file.stored
    expect(response.headers).toMatchObject({ etag: `"${tag}"`, 'content-length': String(SIZE) })
    expect((await collect(response)).length).toBe(length)
  })

  test('is not sent to who has it already', async () => {
    const first = begun(announced)
    finish(first)
    const etag = `"${(await first.stored).tag}"`
    const again = begun(announced)
    const asked = route.ask(again.path, { 'if-none-match': etag })
    finish(again)
    expect((await asked).statusCode).toBe(304)
  })

  test('is stored while one reader stands still and another has left', async () => {
    // More than the buffers of a connection take.
    const large = randomBytes(20 * 1024 * 1024)
    const file = route.coming(announced && large.length)
    void file.source.send(large.subarray(0, FIRST))
    const slow = await route.ask(file.path)
    const leaving = await route.ask(file.path)
    const other = await route.ask(file.path)
    slow.pause()
    leaving.destroy()
    void file.source.send(large.subarray(FIRST))
    file.source.end()
    file.allow()
    await file.stored
    expect((await collect(other)).equals(large)).toBe(true)
    expect((await collect(slow)).equals(large)).toBe(true)
  })
})

/** The answer comes when the file is stored, and has not come before, though all bytes had. */
async function answersOnlyWhenStored(file: Coming, asked: Promise<unknown>): Promise<void> {
  let answered = false
  void asked.then(() => (answered = true))
  void file.source.send(SENT.subarray(FIRST))
  file.source.end()
  await file.received
  // Asked later, answered: by now an answer to the first one would be here.
  const { statusCode } = await route.ask(file.path, {}, 'OPTIONS')
  expect(statusCode).toBe(204)
  expect(answered).toBe(false)
  file.allow()
  await asked
}

describe('A part of a file that comes in', () => {
  test('is sent as soon as it is there', async () => {
    const file = begun(SIZE)
    const response = await route.ask(file.path, { range: 'bytes=1000-1999' })
    expect(response.statusCode).toBe(206)
    expect(response.headers).toMatchObject({ 'content-range': `bytes 1000-1999/${SIZE}`, 'content-length': '1000' })
    expect((await collect(response)).equals(SENT.subarray(1000, 2000))).toBe(true)
    const later = route.ask(file.path, { range: 'bytes=200000-200009' })
    finish(file)
    expect((await collect(await later)).equals(SENT.subarray(200_000, 200_010))).toBe(true)
  })

  test('at its end is sent when it is stored', async () => {
    const file = begun(SIZE)
    const asked = route.ask(file.path, { range: 'bytes=-10' })
    await answersOnlyWhenStored(file, asked)
    const response = await asked
    expect(response.headers).toMatchObject({ 'content-range': `bytes ${SIZE - 10}-${SIZE - 1}/${SIZE}` })
    expect((await collect(response)).equals(SENT.subarray(SIZE - 10))).toBe(true)
  })

  test('that it does not have is refused at once', async () => {
    const file = begun(SIZE)
    const response = await route.ask(file.path, { range: `bytes=${SIZE}-` })
    expect([response.statusCode, response.headers['content-range']]).toEqual([416, `bytes */${SIZE}`])
    response.resume()
    finish(file)
    await file.stored
  })

  test('whose length nobody knows is sent once it is stored: a part names the length of the whole', async () => {
    const file = begun()
    const asked = route.ask(file.path, { range: 'bytes=1000-1999' })
    await answersOnlyWhenStored(file, asked)
    const response = await asked
    expect([response.statusCode, response.headers['content-range']]).toEqual([206, `bytes 1000-1999/${SIZE}`])
    expect((await collect(response)).equals(SENT.subarray(1000, 2000))).toBe(true)
  })
})

test('A small file is answered as a stored one, with its ETag', async () => {
  for (const announced of [HELD_BACK, undefined]) {
    const file = route.coming(announced)
    const asked = route.ask(file.path)
    void file.source.send(SENT.subarray(0, HELD_BACK))
    file.source.end()
    file.allow()
    const { headers } = await asked
    expect(headers).toMatchObject({ etag: `"${(await file.stored).tag}"`, 'content-length': String(HELD_BACK) })
  }
})

test('A client of HTTP/1.0 gets a file of unknown length once it is stored: it could not tell that one is cut off', async () => {
  const file = begun()
  const socket = connect(route.port, '127.0.0.1')
  socket.write(`GET ${file.path} HTTP/1.0\r\nHost: example.org\r\n\r\n`)
  const answered = once(socket, 'data')
  await answersOnlyWhenStored(file, answered)
  const [head] = await answered
  expect(String(head)).toContain(`Content-Length: ${SIZE}\r\n`)
  socket.destroy()
})

test('Nothing stays open once everybody has gone', async () => {
  const stuck = begun(SIZE)
  const response = await route.ask(stuck.path)
  await vi.waitFor(() => expect(stuck.growing.isHungry).toBe(true), 10_000)
  response.destroy()
  // Nobody waits any more, though nothing has come.
  await vi.waitFor(() => expect(stuck.growing.isHungry).toBe(false), 10_000)
  stuck.source.break(BROKEN)
  await stuck.stored.catch(() => {})
  expect(await route.folder.kept()).not.toContainEqual(expect.stringContaining('.staging/'))
  await vi.waitFor(async () => expect(await openTestFiles()).toBe(0), 10_000)
})
