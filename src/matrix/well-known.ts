import { lastUsed } from '../lib/last-used.ts'
import type { Clock } from '../lib/clock.ts'
import { TooMuch } from '../lib/body.ts'
import type { Door, DoorResponse } from '../lib/net.ts'
import { type Trace, traced } from '../lib/steps.ts'
import { type ServerAddress, parseServerName } from './server-name.ts'

export interface WellKnownParts {
  readonly clock: Clock
  readonly door: Pick<Door, 'get'>
  /** 0 ≤ random() < 1. */
  readonly random: () => number
  /** Waits so many ms. */
  readonly pause: (ms: number) => Promise<unknown>
  /** MEDIA_REPO_HTTP_ONLY_FEDERATION, for tests. */
  readonly plainHttp?: boolean
}

interface Kept {
  /** Undefined: the server does not delegate, or cannot be asked. */
  readonly delegated: ServerAddress | undefined
  /** From when on it is asked for again in the background. */
  readonly refreshAt: number
  readonly until: number
  /** How long a valid answer is used while the server cannot be asked. */
  readonly usableUntil: number
  /** How often in a row it could not be asked. */
  readonly failures: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** The figures are those of the specification ("Server discovery", 3) and, where it has none, of Synapse. */
const USUAL_MS = 24 * HOUR_MS
const LEAST_MS = 5 * MINUTE_MS
const MOST_MS = 48 * HOUR_MS
const NOT_DELEGATED_MS = HOUR_MS
const FIRST_FAILURE_MS = 2 * MINUTE_MS
/** A valid answer is used so much longer while the server cannot be asked. */
const REMEMBERED_MS = 2 * HOUR_MS
/** Of an answer's life, what is left when it is asked for again. */
const REFRESHED_IN_LAST = 0.2
const JITTER = 0.1
const TRIES = 3
const BETWEEN_TRIES_MS = 1000

const LIMITS = { redirects: 5, bodyBytes: 50 * 1024, idleMs: 10_000, totalMs: 20_000 }
const MOST_SERVERS = 10_000

/** The server says something that is no delegation: nothing to be waited for. */
class NoDelegation extends Error {
  override readonly name = 'NoDelegation'
}

/** `/.well-known/matrix/server` of other servers: to whom they delegate, asked for once however many want to know. */
export class WellKnown {
  readonly #parts: WellKnownParts
  readonly #kept = lastUsed<Kept>(MOST_SERVERS)
  readonly #asking = new Map<string, Promise<Kept>>()

  constructor(parts: WellKnownParts) {
    this.#parts = parts
  }

  /** To whom a host delegates, undefined if to nobody (or if it cannot say: then that is looked at again soon). */
  async find(host: string): Promise<ServerAddress | undefined> {
    const now = this.#parts.clock.now()
    const kept = this.#kept.get(host)
    if (!kept || now >= kept.until) return (await this.#ask(host)).delegated
    if (now >= kept.refreshAt) void this.#ask(host)
    return kept.delegated
  }

  /** As `find`, but asked now whatever is known, with each step told. */
  async findNow(host: string, trace: Trace): Promise<ServerAddress | undefined> {
    const kept = await this.#once(host, trace)
    return kept.delegated
  }

  #ask(host: string): Promise<Kept> {
    const asking = this.#asking.get(host)
    if (asking) return asking
    const answer = this.#once(host)
      .then((kept) => {
        this.#kept.set(host, kept)
        return kept
      })
      .finally(() => this.#asking.delete(host))
    this.#asking.set(host, answer)
    return answer
  }

  /** Never rejects: a server that cannot be asked is reached without its help. */
  async #once(host: string, trace?: Trace): Promise<Kept> {
    const { clock } = this.#parts
    const before = this.#kept.get(host)
    try {
      const { delegated, keepMs } = await traced(
        { clock, trace },
        `well-known of ${host}`,
        () => this.#try(host, before?.delegated && !trace ? TRIES : 1, trace),
        ({ delegated }) => delegated.name,
      )
      const lifeMs = keepMs * (1 - JITTER + 2 * JITTER * this.#parts.random())
      const until = clock.now() + Math.min(lifeMs, MOST_MS)
      const refreshAt = until - lifeMs * REFRESHED_IN_LAST
      return { delegated, refreshAt, until, usableUntil: until + REMEMBERED_MS, failures: 0 }
    } catch (error) {
      return this.#withoutAnswer(before, error)
    }
  }

  #withoutAnswer(before: Kept | undefined, error: unknown): Kept {
    const now = this.#parts.clock.now()
    const failures = error instanceof NoDelegation ? 0 : (before?.failures ?? 0) + 1
    const keepMs = failures === 0 ? NOT_DELEGATED_MS : Math.min(FIRST_FAILURE_MS * 2 ** (failures - 1), HOUR_MS)
    const nothing = { refreshAt: now + keepMs, until: now + keepMs, failures }
    if (failures > 0 && before?.delegated && now < before.usableUntil) {
      const until = Math.min(nothing.until, before.usableUntil)
      return { ...nothing, refreshAt: until, until, delegated: before.delegated, usableUntil: before.usableUntil }
    }
    return { ...nothing, delegated: undefined, usableUntil: 0 }
  }

  async #try(host: string, tries: number, trace?: Trace): Promise<{ delegated: ServerAddress; keepMs: number }> {
    for (let left = tries - 1; ; left--) {
      try {
        return await this.#fetch(host, trace)
      } catch (error) {
        if (error instanceof TooMuch) throw new NoDelegation(error.message, { cause: error })
        if (error instanceof NoDelegation || left <= 0) throw error
        await this.#parts.pause(BETWEEN_TRIES_MS)
      }
    }
  }

  async #fetch(host: string, trace?: Trace): Promise<{ delegated: ServerAddress; keepMs: number }> {
    const { door, clock, plainHttp } = this.#parts
    const url = new URL(`${plainHttp ? 'http' : 'https'}://${host}/.well-known/matrix/server`)
    const response = await door.get(url, { ...LIMITS, ...(plainHttp && { plainHttp }), trace })
    if (response.status !== 200) {
      response.body.destroy()
      const said = `answered ${response.status}`
      throw response.status >= 500 || response.status === 429 ? new Error(said) : new NoDelegation(said)
    }
    return { delegated: readDelegation(await textOf(response)), keepMs: lifeOf(response, clock.now()) }
  }
}

async function textOf({ body }: DoorResponse): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

function readDelegation(text: string): ServerAddress {
  const value = parseJson(text)
  const name = typeof value === 'object' && value !== null && 'm.server' in value ? value['m.server'] : undefined
  if (typeof name !== 'string') throw new NoDelegation('has no m.server')
  const delegated = parseServerName(name)
  if (!delegated)
    throw new NoDelegation(`has an m.server that is no server name: ${JSON.stringify(name).slice(0, 300)}`)
  return delegated
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new NoDelegation('is no JSON', { cause })
  }
}

/** How long an answer may be kept, in ms: `Cache-Control` before `Expires` (RFC 9111 §4.2.1), within our bounds. */
function lifeOf({ headers }: DoorResponse, now: number): number {
  const lifeMs =
    cacheControlMs(String(headers['cache-control'] ?? '')) ?? expiresMs(headers['expires'], now) ?? USUAL_MS
  return Math.min(Math.max(lifeMs, LEAST_MS), MOST_MS)
}

function cacheControlMs(header: string): number | undefined {
  const directives = header.split(',').map((directive) => directive.trim().toLowerCase())
  if (directives.some((directive) => directive === 'no-store' || directive === 'no-cache')) return 0
  const [, seconds] = directives.map((directive) => /^max-age="?(\d+)"?$/.exec(directive)).find(Boolean) ?? []
  return seconds === undefined ? undefined : Number(seconds) * 1000
}

/** A date that cannot be read has passed (RFC 9111 §5.3). */
function expiresMs(header: string | string[] | undefined, now: number): number | undefined {
  if (typeof header !== 'string') return undefined
  const at = Date.parse(header)
  return Number.isFinite(at) ? at - now : 0
}
