import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { EndOfTurn } from '../lib/end-of-turn.ts'
import { CallerGone, ConfigError, Refused } from '../lib/errors.ts'
import { adminRefused } from '../lib/administration-events.ts'
import { http } from '../lib/node-http.ts'
import { internalError, requestFinished, requestStarted, requestTurnedAway, unknownHost } from '../lib/events.ts'
import { userIdOf } from '../matrix/caller.ts'
import { asksForPage } from './accept.ts'
import { authenticate, isKnownToBeExempt, signedFor } from './auth.ts'
import { Call } from './call.ts'
import { bringNamed } from './bring-named.ts'
import { clientAddress } from './client-address.ts'
import { errorAnswer, isUnforeseen, unreadableMessage } from './errors.ts'
import { whyNotListening } from './listening.ts'
import type { HttpParts } from './parts.ts'
import { Queries } from './queries.ts'
import { respond, sendJson, sendOptions, sendPage } from './respond.ts'
import { makeRouter, type Match, type Router } from './router.ts'
import type { Route } from './route.ts'
import { routes } from './routes.ts'
import { Turns } from './turns.ts'

export interface HttpOptions {
  readonly bindAddress: string
  readonly port: number
  /** How long a connection may stand still, in ms: a reader or sender that makes progress may take all day. */
  readonly idleTimeoutMs?: number
  /** The whole API, if not given. */
  readonly routes?: readonly Route[]
}

export interface HttpServer extends AsyncDisposable {
  readonly address: string
  readonly port: number
  /** Takes no new connections and resolves when requests under way are answered, or cuts them off after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

/**
 * Longer than any wait of ours for something to send, which is 60 s for an announced upload; and long enough for a slow reader
 * behind a proxy, whose progress shows here only each time the proxy's buffers have room again.
 */
const IDLE_MS = 300_000
/** Longer than the common reverse proxies keep connections to us, so that it is they who close them. */
const KEEP_ALIVE_MS = 80_000

const SWEEP_MS = 200
/** Closing on unread bytes resets the connection, and the client may never see what was wrong with them. */
const UNREADABLE_LINGER_MS = 500

/** Starts to answer requests. A port that is taken is a `ConfigError`. */
export async function startHttp(parts: HttpParts, options: HttpOptions): Promise<HttpServer> {
  const frontDoor = new FrontDoor(parts, options.routes ?? routes)
  const server = http.createServer(
    // A missing Host is ours to refuse: Node's own answer has no body.
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      requestTimeout: 0,
      headersTimeout: 60_000,
      noDelay: true,
      requireHostHeader: false,
    },
    (request, response) => void frontDoor.answer(request, response),
  )
  for (const asksFirst of ['checkContinue', 'checkExpectation']) {
    server.on(asksFirst, (request, response) => void frontDoor.answer(request, response))
  }
  server.on('clientError', (error, socket) => frontDoor.refuseUnreadable(error, socket as Socket))
  server.setTimeout(options.idleTimeoutMs ?? IDLE_MS)
  await listen(server, options)
  const { address, port } = server.address() as AddressInfo
  server.on('error', (error) => parts.log.error({ err: error }, 'a connection could not be accepted'))
  const closed = new Promise<void>((resolve) => void server.once('close', () => resolve()))
  const stop = (graceMs: number) => close(server, frontDoor, { graceMs, closed })
  return { address, port, stop, [Symbol.asyncDispose]: () => stop(0) }
}

async function listen(server: Server, { bindAddress, port }: HttpOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen({ port, host: bindAddress, backlog: 1024 }, resolve)
  try {
    await promise
  } catch (cause) {
    const where = `${bindAddress}:${port} (repo.bindAddress, repo.port)`
    throw new ConfigError([`cannot listen on ${where}: ${whyNotListening(cause)}`], { cause, mayPass: true })
  }
}

interface Closing {
  readonly graceMs: number
  /** When the server has closed. */
  readonly closed: Promise<void>
}

/** May be called again with less patience: both calls then end together. */
async function close(server: Server, frontDoor: FrontDoor, { graceMs, closed }: Closing): Promise<void> {
  frontDoor.draining = true
  if (server.listening) server.close()
  // Answers whose head was out before could not say that their connection ends with them.
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
  const timer = setTimeout(() => server.closeAllConnections(), graceMs)
  await closed
  clearInterval(sweep)
  clearTimeout(timer)
  await frontDoor.idle()
}

/** Takes each request from the socket to its handler and back. */
class FrontDoor {
  /** No further request is wanted on any connection. */
  draining = false
  readonly #parts: HttpParts
  readonly #router: Router
  readonly #idPrefix = randomBytes(4).toString('hex')
  #requests = 0
  readonly #underWay = new Set<Promise<void>>()
  readonly #turns = new Turns()
  readonly #turn = new EndOfTurn()
  readonly #queries = new Queries()

  constructor(parts: HttpParts, table: readonly Route[]) {
    this.#parts = parts
    this.#router = makeRouter(table)
  }

  /** Resolves when nothing is being done for any request. */
  async idle(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(request, response, this.#newId(request), performance.now())
    const work = this.#turns.take(request, response, () => this.#answer(exchange))
    this.#underWay.add(work)
    await work
    this.#underWay.delete(work)
  }

  /** Bytes that are no HTTP request, or none that comes to its end in time. */
  refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
    // Whatever comes after the request that the client called its last is nobody's.
    if (error.code === 'HPE_CLOSED_CONNECTION') return
    if (error.code === 'ECONNRESET' || !socket.writable || this.#turns.isAnswering(socket)) {
      socket.destroy()
      return
    }
    socket.end(unreadableMessage(error.code))
    // A client that keeps its side open would keep a broken upload waiting for the rest of its body.
    setTimeout(() => socket.destroy(), UNREADABLE_LINGER_MS).unref()
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { request, response } = exchange
    response.on('error', () => {})
    if (request.method === 'OPTIONS') {
      sendOptions(response, this.#connectionHeaders(exchange))
      return this.#turnedAway(exchange)
    }
    try {
      exchange.match = this.#router.find(request.method ?? '', request.url ?? '')
      const call = this.#open(exchange, exchange.match)
      exchange.call = call
      await authenticate(this.#parts, call, exchange.match.route.who)
      this.#parts.requestLimits.admitCaller(call, exchange.match.route)
      if (this.#parts.bringing) await bringNamed(this.#parts.bringing, call)
      const answer = await exchange.match.route.handler(this.#parts, call)
      await respond(call, answer, this.#connectionHeaders(exchange))
    } catch (error) {
      await this.#fail(exchange, error)
    }
    this.#finished(exchange)
  }

  /** Finds the homeserver that is addressed; its configuration of this moment stays the request's to its end. */
  #open(exchange: Exchange, match: Match): Call {
    const { request, response, id } = exchange
    const { route, params } = match
    const snapshot = this.#parts.config()
    const { repo } = snapshot.main
    if (request.headers.host === undefined && request.httpVersion === '1.1') {
      throw new Refused('bad_request', 'the request has no Host header (RFC 9112 §3.2)')
    }
    const host = hostOf(request, repo.useForwardedHost)
    exchange.address = clientAddress(
      request.socket.remoteAddress ?? '',
      first(request.headers['x-forwarded-for']),
      repo.trustAnyForwardedAddress,
    )
    // Homeservers that share one delegated name share its Host; what the sender signed tells them apart.
    const signed = route.who === 'server' ? signedFor(snapshot, request) : undefined
    const homeserver = signed ?? snapshot.forHost(host) ?? (route.anyHost ? snapshot.homeservers[0] : undefined)
    if (!homeserver) {
      unknownHost(this.#parts.events, { host, action: route.action, method: request.method ?? '' })
      throw new Refused('unknown_host', `no homeserver is configured for the host ${JSON.stringify(host)}`)
    }
    const { log } = this.#parts
    const { main, isHostAllowed } = snapshot
    const { address } = exchange
    const turn = this.#turn
    const queries = this.#queries
    const call = new Call({
      request,
      response,
      turn,
      queries,
      params,
      main,
      homeserver,
      isHostAllowed,
      address,
      id,
      log,
    })
    this.#parts.requestLimits.admitPath(call, route, () => isKnownToBeExempt(this.#parts, call))
    exchange.host = homeserver.name
    requestStarted(this.#parts.events, { host: exchange.host, action: route.action, method: request.method ?? '' })
    return call
  }

  async #fail(exchange: Exchange, error: unknown): Promise<void> {
    const { request, response, id, match } = exchange
    if (isUnforeseen(error)) {
      internalError(this.#parts.events, error, { requestId: id, ...(match ? { action: match.route.action } : {}) })
    }
    if (isForbidden(error)) this.#refusedAdministration(exchange)
    if (error instanceof CallerGone || response.headersSent || response.destroyed) {
      response.destroy()
      return
    }
    const answer = errorAnswer(error)
    const to = { request, response, turn: this.#turn }
    if (!isForPeople(exchange)) return await sendJson(to, answer, this.#connectionHeaders(exchange))
    const { refusalPage } = await import('./pages.ts')
    await sendPage(to, refusalPage(answer), this.#connectionHeaders(exchange))
  }

  /** Described routes are those of the administration. */
  #refusedAdministration({ match, call }: Exchange): void {
    if (!match?.route.description || !call) return
    const { caller, address, id: requestId, request } = call
    const [path = ''] = (request.url ?? '').split('?')
    const { action } = match.route
    adminRefused(this.#parts.events, { by: userIdOf(caller), address, requestId, action, path })
  }

  #connectionHeaders(exchange: Exchange): string[] {
    return this.draining ? ['X-Request-Id', exchange.id, 'Connection', 'close'] : ['X-Request-Id', exchange.id]
  }

  /** The caller's own id for the request, if it is a harmless one, so that a proxy's log and ours can be put together. */
  #newId(request: IncomingMessage): string {
    const given = first(request.headers['x-request-id'])
    if (given !== undefined && /^[\w.:-]{1,100}$/.test(given)) return given
    return `${this.#idPrefix}-${++this.#requests}`
  }

  #finished(exchange: Exchange): void {
    const { match, host } = exchange
    if (!match || host === undefined) return this.#turnedAway(exchange)
    requestFinished(this.#parts.events, { ...exchange.line(), host, action: match.route.action })
  }

  #turnedAway(exchange: Exchange): void {
    requestTurnedAway(this.#parts.events, { ...exchange.line(), host: exchange.request.headers.host ?? '' })
  }
}

const isForPeople = ({ match, request }: Exchange) =>
  match?.route.forPeople === true && asksForPage(request.headers.accept)

const isForbidden = (error: unknown) => error instanceof Refused && error.reason === 'forbidden'

/** A request and its response, with what is known of them so far. */
class Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly id: string
  readonly #began: number
  match: Match | undefined
  call: Call | undefined
  /** The homeserver addressed. */
  host: string | undefined
  address: string | undefined

  constructor(request: IncomingMessage, response: ServerResponse, id: string, began: number) {
    this.request = request
    this.response = response
    this.id = id
    this.#began = began
  }

  /** What the log says of it. */
  line() {
    const { headers, method = '', url = '' } = this.request
    const length = headers['content-length']
    return {
      method,
      url,
      status: this.response.statusCode,
      durationMs: performance.now() - this.#began,
      requestId: this.id,
      remoteAddr: this.address,
      userAgent: headers['user-agent'],
      contentType: headers['content-type'],
      contentLength: length === undefined ? undefined : Number(length),
    }
  }
}

function hostOf(request: IncomingMessage, useForwardedHost: boolean): string {
  const forwarded = useForwardedHost ? first(request.headers['x-forwarded-host']) : undefined
  return forwarded?.split(',')[0]?.trim() || (request.headers.host ?? '')
}

function first(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header
}
