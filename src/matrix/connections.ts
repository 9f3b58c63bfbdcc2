import { hash } from 'node:crypto'
import type { Agent } from 'undici'
import { Availability } from '../lib/availability.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { Breaker, BreakerOpen } from './breaker.ts'
import { callHomeserver, unavailable } from './client.ts'
import type { Answer, Call } from './client.ts'
import type { HomeserverOptions } from './options.ts'

const CONNECTIONS = 64
const PURPOSES = ['users', 'administrators'] as const

/**
 * What a call is for. Each purpose has its own back-off: a homeserver that fails at what any user can ask for as often as
 * they like (whether they are an administrator) must still be asked about tokens.
 */
export type Purpose = (typeof PURPOSES)[number]

/** Hears of a homeserver's first failure to answer, and of its end: then, and before it is asked for the first time, without a problem. */
export type OnAnswers = (line: { readonly homeserver: string; readonly purpose: Purpose }, problem?: unknown) => void

/** Whether a homeserver answers questions of one purpose: told at the first failure, and kept from being asked after many. */
interface Line {
  readonly answers: Availability
  readonly breaker: Breaker
}

interface Connection {
  /** What kept answers depend on. */
  readonly fingerprint: string
  readonly serial: number
  readonly csApi: string
  readonly lines: Readonly<Record<Purpose, Line>>
}

export interface ConnectionsParts {
  readonly log: Log
  readonly clock: Clock
  readonly onAnswers?: OnAnswers
}

/** The connections to all homeservers: kept alive, bounded, and paused while a homeserver keeps failing. */
export class Connections implements AsyncDisposable {
  readonly #log: Log
  readonly #clock: Clock
  readonly #onAnswers: OnAnswers
  #agent: Promise<Agent> | undefined
  readonly #byName = new Map<string, Connection>()
  readonly #fingerprints = new WeakMap<HomeserverOptions, string>()
  #serial = 0

  constructor({ log, clock, onAnswers = () => {} }: ConnectionsParts) {
    this.#log = log
    this.#clock = clock
    this.#onAnswers = onAnswers
  }

  /** These homeservers are all there are: nothing is said of others any more, nor held against them if they come back. */
  keepOnly(homeservers: ReadonlySet<string>): void {
    for (const name of this.#byName.keys()) {
      if (homeservers.has(name)) continue
      this.#byName.delete(name)
      for (const purpose of PURPOSES) this.#onAnswers({ homeserver: name, purpose })
    }
  }

  /**
   * The homeserver's yes (2xx) or no (4xx, but not 429).
   *
   * @throws {Refused} `homeserver_unavailable` when it gives none; its cause names the address. After `backoffAt` of these in
   * a row it is not asked for a while. A no is never counted.
   */
  async call(homeserver: HomeserverOptions, purpose: Purpose, call: Call): Promise<Answer> {
    const { answers, breaker } = this.#of(homeserver).lines[purpose]
    this.#agent ??= openAgent()
    try {
      const parts = { dispatcher: await this.#agent, now: this.#clock.now() }
      const answer = await breaker.run(homeserver.backoffAt, () => callHomeserver(parts, homeserver, call))
      answers.worked()
      if (answer.status !== 429) return answer
      throw unavailable(homeserver, 'gets too many requests', { retryAfterMs: answer.retryAfterMs })
    } catch (error) {
      if (error instanceof Refused) throw error
      if (error instanceof BreakerOpen) {
        const { retryAfterMs } = error
        throw unavailable(homeserver, 'has failed repeatedly and is not asked now', { cause: error, retryAfterMs })
      }
      answers.failed(error)
      throw unavailable(homeserver, 'cannot be reached', { cause: error })
    }
  }

  /** A number that changes with the homeserver's configuration: answers kept under another one are out of date. */
  serialOf(homeserver: HomeserverOptions): number {
    return this.#of(homeserver).serial
  }

  /** Ends the calls under way as failed and closes the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#agent)?.destroy()
  }

  #of(homeserver: HomeserverOptions): Connection {
    const { name, csApi } = homeserver
    const fingerprint = this.#fingerprintOf(homeserver)
    const known = this.#byName.get(name)
    if (known?.fingerprint === fingerprint) return known
    const lines =
      known?.csApi === csApi
        ? known.lines
        : { users: this.#newLine(name, 'users'), administrators: this.#newLine(name, 'administrators') }
    this.#serial += 1
    const connection = { fingerprint, serial: this.#serial, csApi, lines }
    this.#byName.set(name, connection)
    return connection
  }

  #fingerprintOf(homeserver: HomeserverOptions): string {
    const known = this.#fingerprints.get(homeserver)
    if (known !== undefined) return known
    const { csApi, adminApiKind, introspection, accessTokens } = homeserver
    const fingerprint = hash('sha256', JSON.stringify([csApi, adminApiKind, introspection, accessTokens]))
    this.#fingerprints.set(homeserver, fingerprint)
    return fingerprint
  }

  #newLine(homeserver: string, purpose: Purpose): Line {
    const log = this.#log.child({ homeserver, purpose })
    const tell = (problem?: unknown) => this.#onAnswers({ homeserver, purpose }, problem)
    tell()
    const answers = new Availability({
      now: () => this.#clock.now(),
      onChange: (problem) => {
        tell(problem)
        if (problem === undefined) log.info('the homeserver answers again')
        else log.warn({ err: problem }, 'the homeserver gives no answer; is its csApi right?')
      },
    })
    const breaker = new Breaker({
      clock: this.#clock,
      onOpen: (pauseMs, error) => log.warn({ pauseMs, err: error }, 'the homeserver keeps failing and is left alone'),
      onClose: () => answers.recovered(),
    })
    return { answers, breaker }
  }
}

/**
 * Loads the HTTP client with the first call: a server nobody has logged in to yet has no use for its 10 MiB. HTTP/1.1 only:
 * homeservers behind `csApi` are near by, and a reset of one HTTP/2 connection would fail all its calls.
 */
async function openAgent(): Promise<Agent> {
  const undici = await import('undici')
  return new undici.Agent({ connections: CONNECTIONS, allowH2: false })
}
