import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, utimes } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { mediaClient } from '../support/media-client.ts'
import { startServer, type Server } from '../support/server.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, requireService } from '../support/services.ts'
import { type Call, callsOf } from '../support/strace.ts'

const PATIENT = { timeout: 15_000, interval: 5 }
const TOKEN = 'shared-secret'
const CONFIG = {
  homeservers: [{ name: 'example.org', csApi: 'http://127.0.0.1:9' }],
  sharedSecretAuth: { enabled: true, token: TOKEN },
  uploads: { minBytes: 0 },
}

describeWith('strace', 'What the kernel sees of an upload', () => {
  test('everything is on disk, before the answer goes out: bytes, name, folders, record', async () => {
    await using folder = await temporaryFolder()
    const traced = await traceUploads(folder.path, 2)
    const renames = traced.filter((call) => call.name.startsWith('rename') && call.text.includes('/.staging/'))
    expect(renames).toHaveLength(2)
    const media = join(folder.path, 'data', 'media')
    const log = join(folder.path, 'data', 'cellarium.sqlite-wal')
    for (const [upload, rename] of renames.entries()) {
      const [staged = '', object = ''] = Array.from(rename.text.matchAll(/"([^"]+)"/g), ([, path]) => path)
      const of = (name: RegExp, path: string) => traced.filter((call) => name.test(call.name) && call.isOn(path))
      const answer = after(
        traced.filter((call) => call.text.includes('HTTP/1.1 200')),
        rename,
      )
      const until = (calls: readonly Call[]) => calls.filter((call) => call.begin < answer.begin)
      const written = until(of(/write/, log)).at(-1)
      expectOneAfterTheOther([
        ['the last bytes are written', of(/write/, staged).at(-1)],
        ['the file gets its name', rename],
        ['its bytes are synced', of(/^fdatasync|^fsync/, object)[0]],
        ['its folder is synced', after(of(/^fsync/, dirname(object)), rename)],
        ['the record is written', after(of(/write/, log), rename)],
        ['it is written to its end', written],
        ['it is synced', until(of(/^fdatasync|^fsync/, log)).at(-1)],
        ['the answer goes out', answer],
      ])
      // The first upload makes new folders, whose parents are synced before anything is put into them.
      const parents = upload === 0 ? parentsOf(dirname(object), media) : []
      for (const parent of parents) {
        expectOneAfterTheOther([
          [`${parent} is synced`, of(/^fsync/, parent).find((call) => call.end < rename.begin)],
          ['the file gets its name', rename],
        ])
      }
      expect(parents).toHaveLength(upload === 0 ? 4 : 0)
    }
  })
})

test('A server that is killed during uploads has every one that it answered 200 when it starts again', async () => {
  await using folder = await temporaryFolder()
  const answered = new Map<string, string>()
  for (const [round, killAfter] of [0, 1, 2, 5, 9, 14, 20, 33].entries()) {
    await using server = await start(folder.path)
    const client = mediaClient(server, TOKEN)
    const before = answered.size
    const uploading = Array.from({ length: 8 }, async (_, stream) => {
      for (let number = 0; server.running(); number++) {
        const bytes = Buffer.alloc(((stream * 37 + number * 101) % 300) * 1024 + 1, `${round} ${stream} ${number}`)
        const uploaded = await client.upload(bytes).catch(() => undefined)
        if (!uploaded) return
        expect(uploaded.status).toBe(200)
        answered.set(uploaded.media, sha256(bytes))
      }
    })
    await vi.waitFor(() => expect(answered.size).toBeGreaterThanOrEqual(before + killAfter), PATIENT)
    await server.stop('SIGKILL')
    await Promise.all(uploading)
  }
  await using server = await start(folder.path)
  const client = mediaClient(server, TOKEN)
  for (const [media, hash] of answered) {
    const { status, body } = await client.download(media)
    expect({ media, status, hash: sha256(body) }).toEqual({ media, status: 200, hash })
  }
})

test('What a killed server had received by halves is deleted once it is a day old', async () => {
  await using folder = await temporaryFolder()
  const staging = join(folder.path, 'data', 'media', '.staging')
  {
    await using server = await start(folder.path)
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    socket.on('error', () => {})
    socket.write(
      'POST /_matrix/media/v3/upload HTTP/1.1\r\nHost: example.org\r\nAuthorization: Bearer shared-secret\r\n' +
        'Content-Length: 1000000\r\n\r\n',
    )
    socket.write(Buffer.alloc(500_000))
    await vi.waitFor(async () => expect(await readdir(staging)).toHaveLength(1), PATIENT)
    await server.stop('SIGKILL')
    socket.destroy()
  }
  const [left = ''] = await readdir(staging)
  {
    await using _ = await start(folder.path)
    expect(await readdir(staging)).toEqual([left])
  }
  const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600
  await utimes(join(staging, left), twoDaysAgo, twoDaysAgo)
  await using _ = await start(folder.path)
  expect(await readdir(staging)).toEqual([])
})

interface Running extends Server {
  /** Whether it has not ended yet. */
  readonly running: () => boolean
}

async function start(folder: string, wrap: readonly string[] = []): Promise<Running> {
  const server = await startServer({ config: CONFIG, folder, wrap })
  let running = true
  void server.ended.then(() => (running = false))
  return { ...server, running: () => running }
}

/** Uploads so many files to a server under `strace`, one after the other, and gives its system calls. */
async function traceUploads(folder: string, count: number): Promise<Call[]> {
  const record = join(folder, 'strace')
  const traced = 'trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2'
  const strace = [
    requireService('strace'),
    '-D',
    '-f',
    '-y',
    '-s',
    '32',
    '-e',
    traced,
    '-e',
    'signal=none',
    '-o',
    record,
  ]
  await using server = await start(folder, strace)
  const client = mediaClient(server, TOKEN)
  for (let done = 0; done < count; done++)
    expect(await client.upload(randomBytes(100_000))).toMatchObject({ status: 200 })
  expect(await server.stop(), server.lines.slice(-5).join('\n')).toEqual({ code: 0, signal: null })
  // strace writes its last lines when the server has ended, process ids filled up to five places.
  const end = new RegExp(`^${server.pid} +\\+\\+\\+ exited`, 'm')
  const text = await vi.waitFor(async () => {
    const written = await readFile(record, 'utf8')
    expect(written.slice(-1000)).toMatch(end)
    return written
  }, PATIENT)
  return callsOf(text)
}

function after(calls: readonly Call[], call: Call): Call {
  const next = calls.find(({ begin }) => begin > call.end)
  if (!next) throw new Error(`nothing of the kind after ${call.text}`)
  return next
}

function expectOneAfterTheOther(steps: readonly (readonly [string, Call | undefined])[]): void {
  let before = -1
  for (const [what, call] of steps) {
    expect(call, what).toBeDefined()
    // The end of writing may be its only call.
    expect(call?.begin, `${what}: ${call?.text}`).toBeGreaterThanOrEqual(before)
    before = call?.end ?? before
  }
}

/** The folders above `path`, up to `top`. */
function parentsOf(path: string, top: string): string[] {
  const parents: string[] = []
  for (let at = path; at !== top && at !== '/'; at = dirname(at)) parents.push(dirname(at))
  return parents
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
