import type { Readable } from 'node:stream'
import { callbackify } from 'node:util'
import type { LRUCache } from 'lru-cache'
import { lastUsed } from './last-used.ts'
import type { Dispatcher, Pool } from 'undici'
import { type BodyOptions, boundedBody } from './body.ts'
import { type ConnectParts, Connector, type Route, trust } from './connect.ts'
import type { Trace } from './steps.ts'

export interface DoorParts extends Omit<ConnectParts, 'secureContext'> {
  /** The authorities to trust, as PEM texts; those of the system and of NODE_EXTRA_CA_CERTS if not given. */
  readonly authorities?: readonly string[]
  /** Most bytes of an answer's headers; 16 KiB if not given. */
  readonly headerBytes?: number
}

export interface GetOptions extends BodyOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** How many redirects are followed; 0: the redirect itself is the answer. */
  readonly redirects: number
  /**
   * Called with every address before it is asked: the first one, and each that it redirects to. What it throws is what `get`
   * throws. Its signal aborts with the caller's, or when the time is over.
   */
  readonly before?: (address: URL, signal: AbortSignal) => Promise<void> | void
  /** How long nothing may come, in ms. */
  readonly idleMs: number
  /** For everything, from the first look-up to the last byte, in ms. */
  readonly totalMs: number
  /** Plain HTTP is followed too. */
  readonly plainHttp?: boolean
  readonly trace?: Trace | undefined
}

export interface DoorResponse {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Dispatcher.ResponseData['headers']
  /** Where it came from in the end. */
  readonly url: URL
  /** Has to be read to its end or destroyed. */
  readonly body: Readable
}

/** An address, or one that it redirects to, is followed no further: a circle, too many, no address, not https. Nothing was sent to it. */
export class BadAddress extends Error {
  override readonly name = 'BadAddress'
}

/** What a server may need for one connection's headers; more is a mistake or an attack. */
const HEADER_BYTES = 16 * 1024
const MOST_SERVERS = 500
const CONNECTIONS = 16
const KEEP_ALIVE_MS = 30_000
/** What of a redirect's body is read so that its connection can be used again. */
const REDIRECT_BODY_BYTES = 64 * 1024
const REDIRECTS = new Set([301, 302, 303, 307, 308])
const CREDENTIALS = new Set(['authorization', 'proxy-authorization', 'cookie'])

/**
 * The one way out for HTTP to wherever strangers send us: federation, well-known look-ups, redirects, previews. Every address
 * is checked when it is dialled, on every connection and every redirect; a name that resolves differently the next time is
 * checked the next time. Connections are kept for a while, and used again for the same server only. Proxies
 * (HTTPS_PROXY) are not used: behind one nothing could be checked.
 */
export class Door implements AsyncDisposable {
  readonly #parts: ConnectParts
  readonly #headerBytes: number
  readonly #pools: LRUCache<string, Promise<Pool>>

  constructor(parts: DoorParts) {
    this.#parts = { ...parts, secureContext: trust(parts.authorities) }
    this.#headerBytes = parts.headerBytes ?? HEADER_BYTES
    this.#pools = lastUsed<Promise<Pool>>(MOST_SERVERS, { dispose: (pool) => void letGo(pool) })
  }

  /** The connections to a server: those of before, if it is at the same place. */
  async pool(route: Route): Promise<Pool> {
    const key = JSON.stringify(route)
    const known = this.#pools.get(key)
    if (known) return await known
    const pool = this.open(route)
    this.#pools.set(key, pool)
    return await pool
  }

  /** Connections of the caller's own, who closes them. */
  async open(route: Route, trace?: Trace): Promise<Pool> {
    const { Pool } = await import('undici')
    const connector = new Connector(this.#parts, route, trace)
    const connect = callbackify(() => connector.connect())
    // The address is only a place for the Host header to come from; the connector knows where the server is.
    return new Pool(route.tlsName === undefined ? 'http://server.invalid' : 'https://server.invalid', {
      connections: CONNECTIONS,
      allowH2: false,
      maxHeaderSize: this.#headerBytes,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: (_, callback) => {
        connect((error, socket) => {
          if (error) callback(asConnectError(error), null)
          else callback(null, socket)
        })
      },
    })
  }

  /**
   * Fetches an address by GET, following redirects. Credentials among the headers go to the first server only.
   *
   * @throws {AddressRefused} when it, or where it redirects to, must not be dialled
   * @throws {BadAddress} when it is none to be fetched, or leads nowhere
   * @throws {TooMuch} when the body is larger than `bodyBytes` and not to be cut: at once if its length is known, else while it
   *   is read
   * @throws {UnknownCoding} when the body is to be decoded, and cannot be
   */
  async get(address: URL, options: GetOptions): Promise<DoorResponse> {
    const deadline = AbortSignal.timeout(options.totalMs)
    const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline
    const seen = new Set<string>()
    let [url, headers] = [address, options.headers ?? {}]
    for (;;) {
      seen.add(url.href)
      await options.before?.(url, signal)
      const response = await this.#getOnce(url, headers, { ...options, signal })
      const next = options.redirects > 0 ? redirectOf(url, response) : undefined
      if (!next) {
        const { statusCode: status, headers, body } = response
        return { status, headers, url, body: boundedBody(body, headers, options) }
      }
      await response.body.dump({ limit: REDIRECT_BODY_BYTES, signal })
      if (seen.has(next.href)) throw new BadAddress(`${placeOf(url)} redirects in a circle, to ${placeOf(next)}`)
      if (seen.size > options.redirects)
        throw new BadAddress(`${placeOf(address)} redirects more than ${options.redirects} times`)
      if (next.origin !== url.origin) headers = withoutCredentials(headers)
      url = next
    }
  }

  /** Lets go of all connections, once what is under way on them has ended: for rules that have changed. */
  renew(): void {
    this.#pools.clear()
  }

  /** Ends everything under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    const pools = [...this.#pools.values()]
    await Promise.all(pools.map(async (pool) => (await pool).destroy()))
  }

  async #getOnce(
    url: URL,
    headers: Readonly<Record<string, string>>,
    options: GetOptions,
  ): Promise<Dispatcher.ResponseData> {
    const route = routeTo(url, options)
    const pool = options.trace ? await this.open(route, options.trace) : await this.pool(route)
    try {
      const response = await pool.request({
        method: 'GET',
        path: url.pathname + url.search,
        headers: { ...headers, host: url.host },
        signal: options.signal ?? null,
        headersTimeout: options.idleMs,
        bodyTimeout: options.idleMs,
      })
      return response
    } finally {
      if (options.trace) void letGo(pool)
    }
  }
}

/** undici takes some codes for the loss of a connection that was fine, and tries for ever; ours has none. */
function asConnectError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  return 'code' in error && String(error.code).startsWith('UND_') ? new Error(error.message, { cause: error }) : error
}

async function letGo(pool: Pool | Promise<Pool>): Promise<void> {
  try {
    await (await pool).close()
  } catch {
    // It was never opened, or is closed already: in both cases nothing is left to let go of.
  }
}

function routeTo(url: URL, { plainHttp }: GetOptions): Route {
  const plain = url.protocol === 'http:'
  if (url.protocol !== 'https:' && !(plain && plainHttp)) {
    throw new BadAddress(`${placeOf(url)} is not fetched: it has to begin with ${plainHttp ? 'http: or ' : ''}https:`)
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = url.port === '' ? (plain ? 80 : 443) : Number(url.port)
  return { targets: [{ host, port }], tlsName: plain ? undefined : host }
}

function redirectOf(url: URL, { statusCode, headers, body }: Dispatcher.ResponseData): URL | undefined {
  const { location } = headers
  if (!REDIRECTS.has(statusCode) || typeof location !== 'string') return undefined
  const next = URL.parse(location, url.href)
  if (!next) {
    body.on('error', () => {}).destroy()
    throw new BadAddress(`${placeOf(url)} redirects to ${JSON.stringify(location)}, which is no address`)
  }
  // Names and passwords in addresses are never sent, nor told.
  for (const part of ['hash', 'username', 'password'] as const) next[part] = ''
  return next
}

/** An address as it may be logged: what stands behind the question mark of a signed one is a secret. */
function placeOf({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !CREDENTIALS.has(name.toLowerCase())))
}
