import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { parse } from 'content-disposition'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, BOB, type Connection, eventually, mediaOf, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'

const IDLE_MS = 400
/** More than the kernel takes in advance. */
const LARGE = randomBytes(16_000_000)
/** How often each kind of client vanishes: enough for a leak to show, few enough to be quick. */
const ROUNDS = 40

let app: TestApp
let large: string
/** Descriptors of this process while nothing is done. */
let open: number
beforeAll(async () => {
  app = await startApp({ config: { repo: { freezeUnauthenticatedMedia: false }, uploads: { maxPending: 0 } } })
  large = await app.upload(LARGE)
  // What is opened once and then kept: connections to the homeserver, a thumbnail worker.
  await app.ask(`/_matrix/media/v3/thumbnail/${await app.upload(await picture(300))}?width=32&height=32`)
  // SQLite closes a file that this process has open elsewhere only with the last of them.
  rowsOf(app)
  await pause(2100)
  open = await openFiles()
})
afterAll(() => app[Symbol.asyncDispose]())

const picture = (side: number) => noise({ width: side, height: side }).jpeg().toBuffer()
const head = (token: string) => `Host: example.org\r\nAuthorization: Bearer ${token}\r\n`
const get = (path: string) => `GET ${path} HTTP/1.1\r\n${head(ALICE.token)}\r\n`
/** How many rows there are; of usage what they add up to, since changes are folded into totals now and then. */
const rowsOf = (running: TestApp) => [
  ...['media', 'objects', 'pending_media', 'thumbnails'].map((table) => running.sql(`select * from ${table}`).length),
  running.sql(
    `select sum(bytes) as bytes, sum(files) as files
     from (select bytes, files from usage_totals
       union all select bytes, files from usage_changes where subject not like 'uploads %')`,
  ),
]
const openFiles = async () => (await readdir('/proc/self/fd')).length

/** Runs `rounds` and checks that files, descriptors and rows are in the end as they were at the beginning. */
async function leavesNothing(rounds: () => Promise<void>): Promise<void> {
  const before = { files: await app.files(), rows: rowsOf(app) }
  await rounds()
  await eventually(async () => (await app.files()).length === before.files.length)
  expect(rowsOf(app)).toEqual(before.rows)
  // Files are kept open for two seconds after their last reader, connections for the next question to the homeserver for longer.
  await eventually(async () => (await openFiles()) <= open, 30_000)
}

async function times(count: number, round: (index: number) => Promise<void>): Promise<void> {
  for (let start = 0; start < count; start += 10) {
    await Promise.all(Array.from({ length: Math.min(10, count - start) }, (_, index) => round(start + index)))
  }
}

describe('Clients that vanish leave nothing behind', () => {
  test('in the middle of an upload, with or without a length', async () => {
    await leavesNothing(() =>
      times(ROUNDS, async (index) => {
        using connection = await app.connect()
        const framing =
          index % 2 ? 'Transfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh' : 'Content-Length: 100000\r\n\r\nabcdefgh'
        connection.write(`POST /_matrix/media/v3/upload HTTP/1.1\r\n${head(ALICE.token)}${framing}`)
        await pause(index)
      }),
    )
  })

  test('in the middle of a download; others who read the same file get all of it', async () => {
    await leavesNothing(async () => {
      const other = app.ask(`/_matrix/media/v3/download/${large}`)
      await times(ROUNDS, async () => {
        using connection = await app.connect()
        connection.write(get(`/_matrix/media/v3/download/${large}`))
        await connection.until(/\r\n\r\n/)
      })
      expect((await other).body.equals(LARGE)).toBe(true)
    })
  })

  test('with several requests sent at once, in the middle of the first answer', async () => {
    await leavesNothing(() =>
      times(ROUNDS, async () => {
        using connection = await app.connect()
        connection.write(get(`/_matrix/media/v3/download/${large}`).repeat(5))
        await connection.until(/\r\n\r\n/)
      }),
    )
  })

  test('while they wait for content to come; others who wait get it', async () => {
    const created = await app.ask('/_matrix/media/v1/create', { method: 'POST', token: ALICE.token })
    const media = mediaOf(created)
    const path = `/_matrix/media/v3/download/${media}`
    await leavesNothing(() =>
      times(ROUNDS, async (index) => {
        using connection = await app.connect()
        connection.write(get(path))
        await pause(10 + index)
      }),
    )
    // Nobody goes on waiting for them.
    await eventually(() => app.log().split(`"resource":"${path}"`).length > ROUNDS, 5000)
    const other = app.ask(path)
    using leaving = await app.connect()
    leaving.write(get(path))
    await app.ask('/healthz')
    leaving.socket.destroy()
    await app.ask(`/_matrix/media/v3/upload/${media}`, { method: 'PUT', token: ALICE.token, body: 'here' })
    expect(String((await other).body)).toBe('here')
  })

  test('while the homeserver is asked about their token; others with the same token get their answer', async () => {
    const path = '/_matrix/client/v1/media/config'
    const release = app.homeserver.holdAnswers('whoami')
    const asked = app.homeserver.count('whoami')
    const first = await app.connect()
    first.write(`GET ${path} HTTP/1.1\r\n${head(BOB.token)}\r\n`)
    await eventually(() => app.homeserver.count('whoami') > asked)
    const other = app.ask(path, { token: BOB.token })
    await app.ask('/healthz')
    first.socket.destroy()
    await app.ask('/healthz')
    release()
    expect((await other).status).toBe(200)
    expect(app.homeserver.count('whoami')).toBe(asked + 1)
  })

  test('while a thumbnail is made; others who want the same get it', async () => {
    const media = await app.upload(await picture(2500))
    const path = `/_matrix/media/v3/thumbnail/${media}?width=640&height=480`
    using leaving = await app.connect()
    leaving.write(get(path))
    const other = app.ask(path)
    await pause(20)
    leaving.socket.destroy()
    expect((await other).status).toBe(200)
    await leavesNothing(() =>
      times(10, async () => {
        using connection = await app.connect()
        connection.write(get(path))
      }),
    )
  })
})

describe('Time', () => {
  let impatient: TestApp
  let file: string
  beforeAll(async () => {
    impatient = await startApp({ config: { repo: { freezeUnauthenticatedMedia: false } }, idleTimeoutMs: IDLE_MS })
    file = await impatient.upload(LARGE)
  })
  afterAll(() => impatient[Symbol.asyncDispose]())

  test('is given to a reader that is slow but reads', async () => {
    using connection = await impatient.connect()
    const { socket } = connection
    let [received, sinceRest] = [0, 0]
    socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
      received += chunk.length
      sinceRest += chunk.length
      if (sinceRest < 500_000) return
      sinceRest = 0
      socket.pause()
      setTimeout(() => socket.resume(), 50)
    })
    const began = Date.now()
    connection.write(get(`/_matrix/media/v3/download/${file}`))
    await eventually(() => received > LARGE.length || socket.readableEnded || socket.destroyed)
    expect(received).toBeGreaterThan(LARGE.length)
    expect(Date.now() - began).toBeGreaterThan(IDLE_MS * 2)
  })

  test('is up for a reader that does not read', async () => {
    using connection = await impatient.connect()
    connection.socket.pause()
    const [began, logged] = [Date.now(), impatient.log().length]
    connection.write(get(`/_matrix/media/v3/download/${file}`))
    await eventually(() => impatient.log().includes('request finished', logged))
    expect(Date.now() - began).toBeGreaterThanOrEqual(IDLE_MS - 50)
    expect(Date.now() - began).toBeLessThan(IDLE_MS * 10)
  })

  test('is given to a sender that is slow but sends', async () => {
    using connection = await impatient.connect()
    connection.write(`POST /_matrix/media/v3/upload HTTP/1.1\r\n${head(ALICE.token)}Content-Length: 20\r\n\r\n`)
    for (let sent = 0; sent < 20; sent++) {
      connection.write('x')
      await pause(IDLE_MS / 5)
    }
    expect(await connection.until(/\{/)).toMatch(/^HTTP\/1\.1 200 OK/)
  })

  test.each(['Content-Length: 20\r\n\r\n0123', 'Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n', 'X-Half: a'])(
    'is up for a sender that sends nothing more (%j), and nothing is kept',
    async (rest) => {
      const before = await impatient.files()
      using connection = await impatient.connect()
      connection.write(`POST /_matrix/media/v3/upload HTTP/1.1\r\n${head(ALICE.token)}${rest}`)
      await connection.closed
      await eventually(async () => (await impatient.files()).length === before.length)
      expect(connection.received()).not.toContain('200 OK')
    },
  )
})

describe('What is no HTTP', () => {
  const MALFORMED = [
    ['nonsense', 'hello there\r\n\r\n'],
    ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a method that nobody has', `FROBNICATE / HTTP/1.1\r\n${head('x')}\r\n`],
    ['a version of HTTP that nobody has', 'GET / HTTP/9.9\r\nHost: example.org\r\n\r\n'],
    ['a space in the target', `GET /a b HTTP/1.1\r\n${head('x')}\r\n`],
    ['a header without a colon', 'GET / HTTP/1.1\r\nHost example.org\r\n\r\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : example.org\r\n\r\n'],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: example.org\r\nX: a\r\n b\r\n\r\n'],
    ['a NUL in a header', 'GET / HTTP/1.1\r\nHost: example.org\r\nX: a\0b\r\n\r\n'],
    ['a bare CR', 'GET / HTTP/1.1\rHost: example.org\r\r'],
    ['headers without end', `GET / HTTP/1.1\r\nHost: example.org\r\nX: ${'x'.repeat(100_000)}`],
    ['an address without end', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n`],
  ] as const

  test.each(MALFORMED)('(%s) is answered 4xx in Matrix words, and the connection is closed', async (_, bytes) => {
    using connection = await app.connect()
    connection.write(bytes)
    await connection.closed
    expect(connection.received()).toMatch(
      /^HTTP\/1\.1 (400|431) [^]*Access-Control-Allow-Origin: \*[^]*\r\n\r\n\{"errcode":"M_UNKNOWN","error":"[^"]+"\}$/,
    )
  })

  test('behind a request is not answered in the middle of its answer', async () => {
    using connection = await app.connect()
    connection.socket.pause()
    connection.write(get(`/_matrix/media/v3/download/${large}`))
    await pause(50)
    connection.write('what is this\r\n\r\n')
    await pause(50)
    connection.socket.resume()
    await connection.closed
    const [, ...rest] = connection.received().split('HTTP/1.1 ')
    expect(rest).toHaveLength(1)
    expect(connection.received()).not.toContain('errcode')
  })

  test('leaves nothing behind', async () => {
    await leavesNothing(() =>
      times(ROUNDS, async (index) => {
        using connection: Connection = await app.connect()
        connection.write(MALFORMED[index % MALFORMED.length]?.[1] ?? '')
        await connection.closed
      }),
    )
  })
})

test('Several requests sent at once are begun and answered one after the other', async () => {
  using connection = await app.connect()
  const small = await Promise.all(['one', 'two', 'three'].map((text) => app.upload(text, { type: 'text/x-small' })))
  const whoamis = () => app.homeserver.count('whoami')
  const before = whoamis()
  const release = app.homeserver.holdAnswers('whoami')
  connection.write(small.map((media, at) => get(`/_matrix/client/v1/media/download/${media}?user_id=@${at}`)).join(''))
  await eventually(() => whoamis() > before)
  await app.ask('/healthz')
  expect(whoamis()).toBe(before + 1)
  release()
  const received = await connection.until(/three$/)
  expect(received.match(/\r\n\r\n(one|two|three)/g)).toEqual(['\r\n\r\none', '\r\n\r\ntwo', '\r\n\r\nthree'])
  expect(whoamis()).toBe(before + 3)
})

test('What comes behind the last request of a connection is ignored', async () => {
  const media = await app.upload('small', { type: 'text/x-small' })
  const path = `/_matrix/media/v3/download/${media}`
  using closing = await app.connect()
  closing.write(`GET ${path} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n${get(path)}`)
  await closing.closed
  expect(closing.received()).toMatch(/^HTTP\/1\.1 200 OK[^]*\r\n\r\nsmall$/)

  // Refused before its body had come: the connection ends with the answer.
  await using own = await startApp()
  using refused = await own.connect()
  const form = 'Content-Type: multipart/form-data\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'
  refused.write(`POST /_matrix/media/v3/upload HTTP/1.1\r\n${head(ALICE.token)}${form}`)
  await refused.until(/\}$/)
  refused.write(`0\r\n\r\n${get(path)}`)
  await refused.closed
  expect(refused.received().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 415'])
})

test('Any file name comes back as it was, or as near as a header can have it', async () => {
  const media = await app.upload('x')
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }), async (name) => {
      const answer = await app.ask(`/_matrix/media/v3/download/${media}/${encodeURIComponent(name)}`)
      // A browser would take these two for folders; the router does not see them as names.
      if (answer.status !== 200) return name === '.' || name === '..'
      return parse(String(answer.headers['content-disposition'])).parameters['filename'] === name
    }),
    { numRuns: 200 },
  )
})
