/** The whole server inside the test's own process, for speed, on a homeserver double; and ways to ask it odd things. */
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { stringify } from 'yaml'
import { type App, type AppOptions as OpenAppOptions, openApp } from '../../src/app.ts'
import { openConfigStore } from '../../src/config/store.ts'
import type { S3Patience } from '../../src/datastores/s3/bucket.ts'
import { openLog } from '../../src/lib/log.ts'
import { type HomeserverDouble, startHomeserver } from './homeserver.ts'
import { loadHere } from './config.ts'
import { temporaryFolder } from './folder.ts'
import { NO_REQUEST_LIMITS } from './limits.ts'

/** Everybody the double knows at the start. Tokens are words that stand nowhere else, so that logs can be searched for them. */
export const ALICE = { token: 'syt_alice_Wq7r', userId: '@alice:example.org' }
export const BOB = { token: 'syt_bob_Xz3k', userId: '@bob:example.org' }
export const GUEST = { token: 'syt_guest_Pl5v', userId: '@1:example.org', guest: true }
export const LOCKED = { token: 'syt_locked_Mn8c', userId: '@locked:example.org', locked: true }
export const SUSPENDED = { token: 'syt_suspended_Ty2d', userId: '@suspended:example.org', suspended: true }

type Settings = Readonly<Record<string, unknown>>

export interface AppOptions {
  /** Sections of the configuration; those of `repo` and the homeserver double are put in where they are not named. */
  readonly config?: Settings
  /** More keys of the double's entry in `homeservers`, and further entries. */
  readonly homeserver?: Settings
  readonly otherHomeservers?: readonly Settings[]
  /** Where configuration and data lie; given, it is kept. */
  readonly folder?: string
  /** Per-domain files beside it, by name. */
  readonly domainFiles?: Readonly<Record<string, Settings>>
  readonly idleTimeoutMs?: number
  /** How long to wait for S3; as long as is usual, if not given. */
  readonly s3Patience?: S3Patience
  readonly thumbnailQueue?: OpenAppOptions['thumbnailQueue']
  /** Adds so many ms to the time of day. */
  readonly clock?: HeldClock
  /** The process's environment: none, unless given. */
  readonly environment?: OpenAppOptions['environment']
  /** Network and DNS other than the real ones, for federation. */
  readonly network?: OpenAppOptions['network']
}

/** A clock that goes on by itself and can be put forward. */
export interface HeldClock {
  now(): number
  wait(ms: number): void
}

export function heldClock(): HeldClock {
  let ahead = 0
  return { now: () => Date.now() + ahead, wait: (ms) => void (ahead += ms) }
}

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: Buffer | string
  /** Puts it in an `Authorization` header. */
  readonly token?: string
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** The body, where it is JSON. */
  readonly json: Record<string, unknown>
}

export interface TestApp extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly folder: string
  readonly homeserver: HomeserverDouble
  /** The log so far, one JSON object a line. */
  readonly log: () => string
  /** Sends a request with exactly this path. Answers of the administration have to be as the API's document says. */
  readonly ask: (path: string, asked?: Asked) => Promise<Answered>
  /** Uploads as Alice, unless told otherwise, and gives `example.org/MEDIA_ID`. */
  readonly upload: (body: Buffer | string, options?: UploadOptions) => Promise<string>
  /** Opens a connection for whatever is no proper request. */
  readonly connect: () => Promise<Connection>
  /** Writes the configuration anew with these sections in the place of those of before, and has it read. */
  readonly reload: (config: Settings) => Promise<void>
  /** Runs a statement on the SQLite database and gives the rows. */
  readonly sql: (statement: string, ...values: (string | number)[]) => Record<string, unknown>[]
  /** Every file below the media folder, `.staging` included. */
  readonly files: () => Promise<string[]>
  /** Ends requests under way and stops listening, as SIGTERM does. */
  readonly stop: (graceMs: number) => Promise<void>
}

export interface UploadOptions {
  readonly token?: string
  readonly type?: string
  readonly name?: string
  readonly host?: string
}

/** Starts the server on a free port. Uploads may be as small as they like, unless the configuration says otherwise. */
export async function startApp(options: AppOptions = {}): Promise<TestApp> {
  await using cleanup = new AsyncDisposableStack()
  const folder = options.folder ?? cleanup.use(await temporaryFolder()).path
  const homeserver = cleanup.use(await startHomeserver())
  for (const user of [ALICE, BOB, GUEST, LOCKED, SUSPENDED]) homeserver.addUser(user)

  // A folder of its own: the data may lie in the other, and each file in this one is read.
  const configFolder = join(folder, 'config')
  await mkdir(configFolder, { recursive: true })
  for (const [name, domain] of Object.entries(options.domainFiles ?? {})) {
    await writeFile(join(configFolder, name), stringify(domain))
  }
  const path = join(configFolder, '0-cellarium.yaml')
  const write = (config: Settings) => writeFile(path, stringify(complete(config, options, homeserver, folder)))
  await write(options.config ?? {})
  let text = ''
  const terminal = { write: (line: string) => void (text += line), flushSync: () => {}, close: async () => {} }
  const logOptions = { logDirectory: '-', logColors: false, jsonLogs: true, logLevel: 'debug' }
  const { log } = cleanup.use(openLog(logOptions, { terminal }))
  const store = cleanup.use(
    await openConfigStore({ path: configFolder }, { log, load: loadHere, pollMs: 3_600_000, debounceMs: 3_600_000 }),
  )
  const app: App = cleanup.use(await openApp(store, log, options))

  const { port } = app.http
  const ask = async (target: string, asked: Asked = {}) => {
    const answered = await send(port, target, asked)
    if (isOfAdministration(target)) await compare(target, asked, answered)
    return answered
  }
  const owned = cleanup.move()
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    folder,
    homeserver,
    log: () => text,
    ask,
    upload: async (body, uploadOptions = {}) => mediaOf(await ask(...uploading(body, uploadOptions))),
    connect: () => openConnection(port),
    reload: async (config) => {
      await write(config)
      await store.reload()
    },
    sql: (statement, ...values) => {
      using database = new DatabaseSync(join(folder, 'data', 'cellarium.sqlite'), { timeout: 10_000 })
      return database.prepare(statement).all(...values)
    },
    files: () => filesBelow(join(folder, 'data', 'media')),
    stop: (graceMs) => app.http.stop(graceMs),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const isOfAdministration = (target: string) => /\/admin\/|\/unstable\//.test(target)

/** Whatever a test asks the administration for is answered as the API's document says. */
async function compare(path: string, { method = 'GET' }: Asked, answered: Answered): Promise<void> {
  const { expectAsDescribed } = await import('./as-described.ts')
  const { status, headers } = answered
  const isJson = headers['content-type'] === 'application/json' && method !== 'HEAD'
  expectAsDescribed({ method, path, status, json: isJson ? answered.json : undefined })
}

function complete(config: Settings, options: AppOptions, homeserver: HomeserverDouble, folder: string): Settings {
  const own = { name: homeserver.serverName, csApi: homeserver.url, ...options.homeserver }
  return {
    homeservers: [own, ...(options.otherHomeservers ?? [])],
    ...config,
    uploads: { minBytes: 0, ...section(config, 'uploads') },
    rateLimit: { ...NO_REQUEST_LIMITS, ...section(config, 'rateLimit') },
    repo: { bindAddress: '127.0.0.1', port: 0, dataPath: join(folder, 'data'), ...section(config, 'repo') },
  }
}

function section(config: Settings, name: string): object {
  const found = config[name]
  return typeof found === 'object' && found !== null ? found : {}
}

function uploading(body: Buffer | string, options: UploadOptions): [string, Asked] {
  const { token = ALICE.token, type = 'image/png', name, host } = options
  const query = name === undefined ? '' : `?filename=${encodeURIComponent(name)}`
  const headers = { 'content-type': type, ...(host === undefined ? {} : { host }) }
  return [`/_matrix/media/v3/upload${query}`, { method: 'POST', body, token, headers }]
}

/** `example.org/MEDIA_ID` of the answer to an upload or `create`. */
export function mediaOf(answered: Answered): string {
  const { content_uri: uri } = answered.json
  if (answered.status !== 200 || typeof uri !== 'string') throw new Error(`${answered.status} ${String(answered.body)}`)
  return uri.slice('mxc://'.length)
}

/** Asks as a client behind `Host: example.org` does. */
export async function send(port: number, path: string, asked: Asked): Promise<Answered> {
  const { method = 'GET', token, body } = asked
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const headers = { host: 'example.org', ...authorization, ...asked.headers } as Record<string, string | string[]>
  const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false })
  request.end(body)
  const [response] = await once(request, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const received = Buffer.concat(chunks)
  return {
    status: response.statusCode,
    headers: response.headers,
    body: received,
    get json() {
      return JSON.parse(received.toString())
    },
  }
}

/** A bare connection. */
export interface Connection extends Disposable {
  readonly socket: Socket
  /** What came so far, as text. */
  readonly received: () => string
  readonly write: (text: string | Buffer) => void
  /** Waits until what came matches. */
  readonly until: (pattern: RegExp) => Promise<string>
  /** Waits until the server has closed the connection, in whatever way. */
  readonly closed: Promise<void>
  /** How the connection broke, such as by a reset. */
  readonly error: () => Error | undefined
}

async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  socket.on('data', (chunk) => void (text += chunk.toString('latin1')))
  let broken: Error | undefined
  socket.on('error', (error) => (broken = error))
  const closed = new Promise<void>((resolve) => void socket.once('end', resolve).once('close', () => resolve()))
  await once(socket, 'connect')
  return {
    socket,
    closed,
    error: () => broken,
    received: () => text,
    write: (data) => void socket.write(data),
    until: async (pattern) => {
      await eventually(() => pattern.test(text) || socket.readableEnded || socket.destroyed)
      if (!pattern.test(text)) throw new Error(`the connection ended without ${String(pattern)}: ${text.slice(-500)}`)
      return text
    },
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

/** Waits until a condition holds, asked every few ms; rejects after `timeoutMs`. */
export async function eventually(holds: () => unknown, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not so within ${timeoutMs} ms: ${String(holds)}`)
    await pause(5)
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}
