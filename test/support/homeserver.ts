// A homeserver of our own for tests: what Cellarium asks a homeserver for, and every way in which one can misbehave.
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

export interface HomeserverDoubleOptions {
  readonly serverName?: string
  /** Which administration API it has; all have the one of the specification. */
  readonly kind?: 'synapse' | 'dendrite' | 'matrix'
  /** Everything is below this path, such as `/behind/a/proxy`. */
  readonly pathPrefix?: string
}

export interface DoubleUser {
  readonly token: string
  readonly userId: string
  readonly deviceId?: string
  readonly guest?: boolean
  readonly locked?: boolean
  readonly suspended?: boolean
  readonly admin?: boolean
  /** The session has ended, but the client may log in to it again. */
  readonly softLoggedOut?: boolean
}

export interface DoubleAppservice {
  readonly token: string
  readonly sender: string
  /** The users it has registered and may act as, with their devices. */
  readonly users: Readonly<Record<string, readonly string[]>>
}

export interface RoomMedia {
  readonly local: readonly string[]
  readonly remote: readonly string[]
}

/** How it misbehaves: an answer of the test's choice, or none at all. */
export type Trouble =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  | 'stall'
  | 'garbage'
  | 'hang up'

export interface RecordedRequest {
  readonly method: string
  /** Below `pathPrefix`, decoded. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
}

export interface HomeserverDouble extends AsyncDisposable {
  readonly serverName: string
  /** What to configure as `csApi`. */
  readonly url: string
  readonly requests: readonly RecordedRequest[]
  /** How many requests came for paths that contain this text. */
  count(inPath: string): number
  addUser(user: DoubleUser): void
  addAppservice(appservice: DoubleAppservice): void
  /** What a Synapse lists to its administrators as the media of a room. */
  addRoom(roomId: string, media: RoomMedia): void
  /** Misbehaves from now on, on paths that contain `inPath` (all if left out). */
  misbehave(trouble: Trouble, inPath?: string): void
  /** Works out the answers from now on at once, but sends them only when the function returned is called. */
  holdAnswers(inPath?: string): () => void
  /** Behaves again. */
  recover(): void
}

interface Result {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const unknownToken = { status: 401, body: { errcode: 'M_UNKNOWN_TOKEN', error: 'Unrecognised access token' } }
const unrecognized = { status: 404, body: { errcode: 'M_UNRECOGNIZED', error: 'Unrecognized request' } }

/** Starts a homeserver on a free port of the loopback; `await using` stops it. */
export async function startHomeserver(options: HomeserverDoubleOptions = {}): Promise<HomeserverDouble> {
  const { serverName = 'example.org', kind = 'synapse', pathPrefix = '' } = options
  const accounts = new Accounts(kind)
  const requests: RecordedRequest[] = []
  let trouble: { readonly what: Trouble; readonly inPath: string } | undefined
  let held: { readonly until: Promise<void>; readonly inPath: string } | undefined

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://double')
    const below = url.pathname.startsWith(`${pathPrefix}/`)
    const path = decodeURIComponent(below ? url.pathname.slice(pathPrefix.length) : url.pathname)
    const recorded = { method: request.method ?? '', path, query: url.searchParams, headers: request.headers }
    requests.push(recorded)
    request.resume()
    if (trouble && path.includes(trouble.inPath)) return makeTrouble(trouble.what, response)
    const result = below ? accounts.answer(recorded) : unrecognized
    if (held && path.includes(held.inPath)) await held.until
    send(response, result)
  }

  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the double has no port')
  return {
    serverName,
    url: `http://127.0.0.1:${address.port}${pathPrefix}`,
    requests,
    count: (inPath) => requests.filter(({ path }) => path.includes(inPath)).length,
    addUser: (user) => accounts.addUser(user),
    addAppservice: (appservice) => accounts.addAppservice(appservice),
    addRoom: (roomId, media) => accounts.addRoom(roomId, media),
    misbehave: (what, inPath = '') => {
      trouble = { what, inPath }
    },
    holdAnswers: (inPath = '') => {
      const gate = Promise.withResolvers<void>()
      held = { until: gate.promise, inPath }
      return () => {
        held = undefined
        gate.resolve()
      }
    },
    recover: () => {
      trouble = undefined
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Who is registered, and what the homeserver answers them. */
class Accounts {
  readonly #kind: 'synapse' | 'dendrite' | 'matrix'
  readonly #users = new Map<string, DoubleUser>()
  readonly #appservices = new Map<string, DoubleAppservice>()
  readonly #rooms = new Map<string, RoomMedia>()

  constructor(kind: 'synapse' | 'dendrite' | 'matrix') {
    this.#kind = kind
  }

  addUser(user: DoubleUser): void {
    this.#users.set(user.token, user)
  }

  addAppservice(appservice: DoubleAppservice): void {
    this.#appservices.set(appservice.token, appservice)
  }

  addRoom(roomId: string, media: RoomMedia): void {
    this.#rooms.set(roomId, media)
  }

  answer(request: RecordedRequest): Result {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (request.path === '/_matrix/client/versions') return versions
    if (!token) return { status: 401, body: { errcode: 'M_MISSING_TOKEN', error: 'Missing access token' } }
    if (request.path === '/_matrix/client/v3/account/whoami') return this.#whoami(token, request.query)
    if (request.path.startsWith('/_matrix/client/v3/logout') && request.method === 'POST') {
      return this.#logout(token, request.path.endsWith('/all'))
    }
    const synapse = this.#kind === 'synapse' && request.path.startsWith('/_synapse/admin/v1/whois/')
    if (synapse || request.path.startsWith('/_matrix/client/v3/admin/whois/')) return this.#whois(token, request)
    const [, roomId] = /^\/_synapse\/admin\/v1\/room\/(.+)\/media$/.exec(request.path) ?? []
    if (this.#kind === 'synapse' && roomId !== undefined) return this.#roomMedia(token, roomId)
    return unrecognized
  }

  #roomMedia(token: string, roomId: string): Result {
    const user = this.#users.get(token)
    if (!user) return unknownToken
    if (user.admin !== true)
      return { status: 403, body: { errcode: 'M_FORBIDDEN', error: 'You are not a server admin' } }
    return { status: 200, body: this.#rooms.get(roomId) ?? { local: [], remote: [] } }
  }

  #whoami(token: string, query: URLSearchParams): Result {
    const appservice = this.#appservices.get(token)
    if (appservice) return whoamiOfAppservice(appservice, query)
    const user = this.#users.get(token)
    if (!user) return unknownToken
    const refusal = refusalOf(user)
    if (refusal) return refusal
    const { userId, deviceId, guest } = user
    return { status: 200, body: { user_id: userId, device_id: deviceId, is_guest: guest === true } }
  }

  #logout(token: string, all: boolean): Result {
    const user = this.#users.get(token)
    if (!user) return unknownToken
    for (const other of this.#users.values()) {
      if (other === user || (all && other.userId === user.userId)) this.#users.delete(other.token)
    }
    return { status: 200, body: {} }
  }

  #whois(token: string, request: RecordedRequest): Result {
    const user = this.#users.get(token)
    if (!user && !this.#appservices.has(token)) return unknownToken
    if (user?.admin !== true)
      return { status: 403, body: { errcode: 'M_FORBIDDEN', error: 'You are not a server admin' } }
    return { status: 200, body: { user_id: request.path.split('/').at(-1), devices: {} } }
  }
}

const versions = {
  status: 200,
  body: { versions: ['r0.6.1', 'v1.1', 'v1.10'], unstable_features: { 'org.example.feature': true } },
}

function refusalOf(user: DoubleUser): Result | undefined {
  if (user.softLoggedOut) return { status: 401, body: { ...unknownToken.body, soft_logout: true } }
  const error = 'This account has been restricted'
  if (user.locked) return { status: 401, body: { errcode: 'M_USER_LOCKED', error, soft_logout: true } }
  if (user.suspended) return { status: 403, body: { errcode: 'M_USER_SUSPENDED', error } }
  return undefined
}

function whoamiOfAppservice(appservice: DoubleAppservice, query: URLSearchParams): Result {
  const userId = query.get('user_id') ?? appservice.sender
  const deviceId = query.get('device_id') ?? undefined
  const devices = userId === appservice.sender ? [] : appservice.users[userId]
  if (!devices) {
    return {
      status: 403,
      body: { errcode: 'M_FORBIDDEN', error: 'Application service cannot masquerade as this user' },
    }
  }
  if (deviceId !== undefined && !devices.includes(deviceId)) {
    return { status: 400, body: { errcode: 'M_UNKNOWN_DEVICE', error: 'Unknown device' } }
  }
  return { status: 200, body: { user_id: userId, device_id: deviceId, is_guest: false } }
}

function makeTrouble(trouble: Trouble, response: ServerResponse): void {
  if (trouble === 'stall') return
  if (trouble === 'hang up') response.destroy()
  else if (trouble === 'garbage') response.writeHead(200, { 'content-type': 'text/html' }).end('<html>{"user_id":')
  else send(response, { body: {}, ...trouble })
}

function send(response: ServerResponse, result: Result): void {
  const text = typeof result.body === 'string' ? result.body : JSON.stringify(result.body)
  response.writeHead(result.status, { 'content-type': 'application/json', ...result.headers }).end(text)
}
