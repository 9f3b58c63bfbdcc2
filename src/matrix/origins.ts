import { Readable } from 'node:stream'
import { lastUsed } from '../lib/last-used.ts'
import type { Dispatcher, Pool } from 'undici'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { Door } from '../lib/net.ts'
import { type Trace, traced } from '../lib/steps.ts'
import { Breaker } from './breaker.ts'
import { USER_AGENT } from './client.ts'
import type { Destination, Discovery } from './discovery.ts'
import { retryAfterMs } from './retry-after.ts'

/** A request to another Matrix server. */
export interface OriginRequest {
  readonly method: 'GET' | 'POST'
  /** Path and query, exactly as they go on the wire and as they were signed. */
  readonly path: string
  /** Without `Host` and `User-Agent`. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Ends the request, also while its answer is being read. Says nothing against the server. */
  readonly signal?: AbortSignal | undefined
  /** How long nothing may come, before the answer begins and within it, in ms. */
  readonly idleMs: number
  /** How long nothing may come before the answer begins, in ms, if not as long. */
  readonly headersMs?: number
}

/** What another server answered, whatever the status; redirects are not followed. */
export interface OriginResponse {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Dispatcher.ResponseData['headers']
  /** Has to be read to its end or destroyed. */
  readonly body: Readable
}

export interface OriginsParts {
  readonly log: Log
  readonly clock: Clock
  readonly door: Pick<Door, 'pool' | 'open'>
  readonly discovery: Pick<Discovery, 'find'>
  /** `federation.backoffAt` of this moment. */
  readonly backoffAt: () => number
}

const MOST_ORIGINS = 10_000
/** Nobody is left alone for longer because of what they say themselves. */
const LONGEST_HOLD_MS = 3_600_000
/** Of an answer that reports an error, what is read to see which. */
const ERROR_BODY_BYTES = 64 * 1024
/** undici's for a body that was destroyed here. */
const LEFT_UNREAD = 'UND_ERR_ABORTED'
/** What a connection that was kept too long ends with: the request was probably not seen. */
const LOST_CONNECTION = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])
const BREAKER_EVENTS = {
  opened: 'the remote server keeps failing and is left alone',
  closed: 'the remote server answers again',
}

/** The other servers of the federation: found, connected to, and left alone while they keep failing. */
export class Origins {
  readonly #parts: OriginsParts
  readonly #breakers = lastUsed<Breaker>(MOST_ORIGINS)

  constructor(parts: OriginsParts) {
    this.#parts = parts
  }

  /**
   * Sends a request to a server by its name. No answer and 5xx count as failures, of which `federation.backoffAt` in a row
   * stop further requests for a while, and so do as many files that break off; other answers do not, nor does 504
   * `M_NOT_YET_UPLOADED`. `Retry-After` is heeded.
   *
   * @throws {BreakerOpen} while the server is left alone; its cause is what went wrong last
   * @throws {Error} when it cannot be found or reached, or does not answer in time
   */
  async request(origin: string, request: OriginRequest): Promise<OriginResponse> {
    const breaker = this.#breakerOf(origin)
    const response = await breaker.run(this.#parts.backoffAt(), () => this.#send(origin, request), {
      failureIn: ({ failure }) => failure,
      saysNothing: () => request.signal?.aborted === true,
    })
    const { headers, status } = response
    const waitMs = retryAfterMs(headers['retry-after'], this.#parts.clock.now())
    if (waitMs !== undefined && (status === 429 || status === 503)) breaker.holdFor(Math.min(waitMs, LONGEST_HOLD_MS))
    if (status === 200) this.#watch(response.body, breaker, request.signal)
    return { status, headers, body: response.body }
  }

  /** A server that begins each answer well and ends none would be asked for ever. */
  #watch(body: Readable, breaker: Breaker, signal: AbortSignal | undefined): void {
    body.once('end', () => breaker.cameWhole())
    body.once('error', (error) => {
      if (!signal?.aborted && codeOf(error) !== LEFT_UNREAD) breaker.brokeOff(this.#parts.backoffAt(), error)
    })
  }

  /**
   * Finds and asks a server anew, whatever is known of it and however it has failed, and tells each step. If it answers, it is
   * not left alone any longer.
   *
   * @throws {Error} as `request`
   */
  async probe(
    origin: string,
    request: OriginRequest,
    trace: Trace,
  ): Promise<{ readonly destination: Destination; readonly response: OriginResponse }> {
    const { clock, discovery, door } = this.#parts
    const destination = await discovery.find(origin, trace)
    const pool = await door.open(destination, trace)
    try {
      const ask = () => send(pool, destination, request)
      const response = await traced(
        { clock, trace },
        `${request.method} ${request.path}, connecting included`,
        ask,
        statusOf,
      )
      if (response.statusCode < 500) this.#breakers.get(origin)?.answers()
      return { destination, response: { ...response, status: response.statusCode } }
    } finally {
      pool.close().catch(() => {})
    }
  }

  async #send(origin: string, request: OriginRequest): Promise<OriginResponse & { readonly failure?: Error }> {
    const destination = await this.#parts.discovery.find(origin)
    request.signal?.throwIfAborted()
    const pool = await this.#parts.door.pool(destination)
    const response = await send(pool, destination, request).catch((error: unknown) => {
      if (!isLostConnection(error) || request.signal?.aborted) throw error
      return send(pool, destination, request)
    })
    const { statusCode: status, headers, body } = response
    return status < 500 ? { status, headers, body } : await readFailure({ status, headers, body })
  }

  #breakerOf(origin: string): Breaker {
    const known = this.#breakers.get(origin)
    if (known) return known
    const log = this.#parts.log.child({ origin })
    const breaker = new Breaker({
      clock: this.#parts.clock,
      onOpen: (pauseMs, error) => log.warn({ pauseMs, err: error }, BREAKER_EVENTS.opened),
      onClose: () => log.info(BREAKER_EVENTS.closed),
    })
    this.#breakers.set(origin, breaker)
    return breaker
  }
}

function send(pool: Pool, destination: Destination, request: OriginRequest): Promise<Dispatcher.ResponseData> {
  return pool.request({
    method: request.method,
    path: request.path,
    headers: { 'user-agent': USER_AGENT, ...request.headers, host: destination.host },
    body: request.body ?? null,
    signal: request.signal ?? null,
    headersTimeout: request.headersMs ?? request.idleMs,
    bodyTimeout: request.idleMs,
  })
}

const statusOf = ({ statusCode }: Dispatcher.ResponseData) => statusCode

function isLostConnection(error: unknown): boolean {
  return LOST_CONNECTION.has(codeOf(error))
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** Reads the begin of what a failing server says: a file that is only not there yet is no failure of the server. */
async function readFailure(response: OriginResponse): Promise<OriginResponse & { readonly failure?: Error }> {
  const text = await beginOf(response.body)
  const again = { ...response, body: Readable.from([text], { objectMode: false }) }
  if (response.status === 504 && text.includes('"M_NOT_YET_UPLOADED"')) return again
  return { ...again, failure: new Error(`answered ${response.status} ${text.toString('utf8', 0, 200)}`) }
}

async function beginOf(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size >= ERROR_BODY_BYTES) break
  }
  return Buffer.concat(chunks).subarray(0, ERROR_BODY_BYTES)
}
