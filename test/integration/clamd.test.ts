import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, type AppOptions, eventually, startApp, type TestApp } from '../support/app.ts'
import { type Clamd, EICAR, startClamd } from '../support/clamd.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freePort } from '../support/services.ts'

const MIB = 1024 * 1024
const withClamd = (clamd: object, more: AppOptions = {}) => startApp({ ...more, config: { moderation: { clamd } } })
const upload = (app: TestApp, body: Buffer | string) =>
  app.ask('/_matrix/media/v3/upload', { method: 'POST', body, token: ALICE.token })
const REFUSED = { status: 403, json: { errcode: 'M_FORBIDDEN', error: expect.stringContaining('malicious software') } }
const LATER = { status: 503, headers: { 'retry-after': expect.any(String) } }

describeWith('clamd', 'ClamAV’s daemon', () => {
  let clamd: Clamd
  beforeAll(async () => void (clamd = await startClamd()))
  afterAll(() => clamd[Symbol.asyncDispose]())

  test('lets clean files through and finds EICAR, of which nothing is left', async () => {
    await using app = await withClamd({ address: clamd.address })
    const clean = await app.upload('nothing to see')
    expect((await upload(app, Buffer.alloc(3 * MIB, 'x'))).status).toBe(200)
    const files = await app.files()
    expect(await upload(app, EICAR)).toMatchObject(REFUSED)
    expect(await app.files()).toEqual(files)
    expect(app.sql('SELECT media_id FROM media')).toHaveLength(2)
    expect((await app.ask(`/_matrix/client/v1/media/download/${clean}`, { token: ALICE.token })).status).toBe(200)
    expect(app.log()).toContain('Eicar-Test-Signature')
  })

  test('judges announced uploads too, whose id stays open', async () => {
    await using app = await withClamd({ address: clamd.address })
    const created = await app.ask('/_matrix/media/v1/create', { method: 'POST', token: ALICE.token })
    const media = String(created.json['content_uri']).slice('mxc://'.length)
    const put = (body: Buffer | string) =>
      app.ask(`/_matrix/media/v3/upload/${media}`, { method: 'PUT', token: ALICE.token, body })
    expect(await put(EICAR)).toMatchObject(REFUSED)
    expect((await put('clean')).status).toBe(200)
  })

  test('quarantines what it finds where that is wanted: kept for administrators, refused to everybody', async () => {
    await using app = await withClamd({ address: clamd.address, action: 'quarantine' })
    expect(await upload(app, EICAR)).toMatchObject(REFUSED)
    const [kept] = app.sql('SELECT media_id AS id, quarantined_at AS since FROM media')
    expect(kept?.['since']).toEqual(expect.any(Number))
    const path = `/_matrix/client/v1/media/download/example.org/${String(kept?.['id'])}`
    expect((await app.ask(path, { token: ALICE.token })).status).toBe(404)
    expect(app.sql('SELECT source, reason FROM reports')).toEqual([
      { source: 'clamd', reason: expect.stringContaining('Eicar-Test-Signature') },
    ])
  })

  test.for([
    ['allow', 200],
    ['refuse', 403],
  ] as const)('does with what is over StreamMaxLength what tooLarge says: %s', async ([tooLarge, status]) => {
    await using app = await withClamd({ address: clamd.address, tooLarge })
    // Many buffers over it: it hangs up while it is still sent to.
    expect((await upload(app, Buffer.alloc(32 * MIB, 'x'))).status).toBe(status)
    expect((await upload(app, 'small')).status).toBe(200)
  })

  test('is not sent what is over maxBytes', async () => {
    await using app = await withClamd({ address: clamd.address, maxBytes: EICAR.length - 1 })
    expect((await upload(app, EICAR)).status).toBe(200)
  })

  test('scans more files at once than it may, one after the other', async () => {
    await using app = await withClamd({ address: clamd.address, atATime: 2 })
    const bodies = Array.from({ length: 12 }, (_, index) => (index % 3 === 0 ? EICAR : Buffer.alloc(100_000, index)))
    const statuses = await Promise.all(bodies.map(async (body) => (await upload(app, body)).status))
    expect(statuses).toEqual(bodies.map((body) => (body === EICAR ? 403 : 200)))
  })

  test('that stands still refuses files until it goes on', async () => {
    await using stuck = await startClamd()
    await using app = await withClamd({ address: stuck.address, timeoutSeconds: 0.5 })
    stuck.signal('SIGSTOP')
    try {
      expect(await upload(app, 'harmless')).toMatchObject(LATER)
    } finally {
      stuck.signal('SIGCONT')
    }
    await eventually(async () => (await upload(app, 'harmless')).status === 200)
    expect(app.log()).toContain('gave no answer within 500 ms')
    expect(app.log()).toContain('can judge files again')
  })

  test('that ends is an outage, not a virus; onFailure: allow lets files through meanwhile', async () => {
    await using gone = await startClamd()
    await gone.stop()
    await using strict = await withClamd({ address: gone.address })
    expect(await upload(strict, 'harmless')).toMatchObject(LATER)
    expect(await strict.files()).toEqual([])
    await using lenient = await withClamd({ address: gone.address, onFailure: 'allow' })
    expect((await upload(lenient, EICAR)).status).toBe(200)
  })
})

/** Something that listens where clamd should. */
async function startFake(answer: (socket: Socket, received: () => Buffer) => void) {
  const folder = await temporaryFolder()
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = []
    sockets.add(socket)
    socket.on('error', () => {}).on('data', (chunk) => void chunks.push(chunk))
    answer(socket, () => Buffer.concat(chunks))
  })
  const address = join(folder.path, 'clamd.sock')
  await new Promise<void>((resolve) => void server.listen(address, resolve))
  return {
    address,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => void server.close(resolve))
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('What is no clamd', () => {
  test.for([
    ['answers nonsense', (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['answers without end', (socket: Socket) => void socket.write(Buffer.alloc(20_000, 'x'))],
    ['answers of another file', (socket: Socket) => void socket.end('/etc/passwd: OK\0')],
    ['says that something failed', (socket: Socket) => void socket.end('stream: Allocation failed ERROR\0')],
    ['hangs up', (socket: Socket) => void socket.destroy()],
    ['ends without a word', (socket: Socket) => void socket.end()],
    ['says nothing', () => {}],
  ] as [string, (socket: Socket) => void][])('and %s: files are refused, to be tried again', async ([, answer]) => {
    await using fake = await startFake(answer)
    await using app = await withClamd({ address: fake.address, timeoutSeconds: 1 })
    expect(await upload(app, Buffer.alloc(300_000))).toMatchObject(LATER)
    expect(await app.files()).toEqual([])
  })

  test('gets a file in chunks with their lengths, and an empty one at the end', async () => {
    const body = Buffer.from(Array.from({ length: 150_000 }, (_, index) => index % 251))
    let seen: Buffer = Buffer.alloc(0)
    await using fake = await startFake((socket, received) => {
      socket.on('data', () => {
        seen = received()
        if (seen.subarray(-4).equals(Buffer.alloc(4))) socket.end('stream: OK\0')
      })
    })
    await using app = await withClamd({ address: fake.address })
    expect((await upload(app, body)).status).toBe(200)
    expect(seen.subarray(0, 10).toString()).toBe('zINSTREAM\0')
    const parts: Buffer[] = []
    for (let at = 10; at < seen.length; at += 4 + seen.readUInt32BE(at)) {
      parts.push(seen.subarray(at + 4, at + 4 + seen.readUInt32BE(at)))
    }
    expect(parts.at(-1)).toHaveLength(0)
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(64 * 1024)
    expect(Buffer.concat(parts).equals(body)).toBe(true)
  })

  test('and does not listen on its port is an outage', async () => {
    await using app = await withClamd({ address: `127.0.0.1:${await freePort()}` })
    expect(await upload(app, 'harmless')).toMatchObject(LATER)
  })
})
