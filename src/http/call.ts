import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HomeserverConfig, MainConfig } from '../config/schema.ts'
import { free } from '../lib/buffers.ts'
import type { EndOfTurn } from '../lib/end-of-turn.ts'
import { CallerGone, Refused } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { anonymous, type Caller } from '../matrix/caller.ts'
import type { Context } from '../media/context.ts'
import { type Queries, Query } from './queries.ts'

type CallOptions = Pick<
  Call,
  'request' | 'response' | 'turn' | 'queries' | 'params' | 'main' | 'homeserver' | 'isHostAllowed' | 'address' | 'id'
> & {
  /** The log whose child the call's own will be. */
  readonly log: Log
}

/** What a caller of a route for administrators administers: everything, or the homeserver addressed. */
export type Administers = 'repository' | 'homeserver'

const NO_QUERY = new Query('')

/** One request, as handlers see it. What costs something is made when it is first asked for. */
export class Call implements Context {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** When to send what can be sent at once. */
  readonly turn: EndOfTurn
  /** Reads the query. */
  readonly queries: Queries
  readonly params: Readonly<Record<string, string | undefined>>
  readonly main: MainConfig
  readonly homeserver: HomeserverConfig
  /** Whether the configuration of this request lets us deal with a server. */
  readonly isHostAllowed: (serverName: string) => boolean
  /** The client's address, through trusted proxies. */
  readonly address: string
  readonly id: string
  caller: Caller = anonymous
  /** What the caller administers; known on routes for administrators only. */
  administers: Administers | undefined
  readonly #log: Log
  #query: Query | undefined
  #signal: AbortSignal | undefined
  #childLog: Log | undefined

  constructor(options: CallOptions) {
    this.request = options.request
    this.response = options.response
    this.turn = options.turn
    this.queries = options.queries
    this.params = options.params
    this.main = options.main
    this.homeserver = options.homeserver
    this.isHostAllowed = options.isHostAllowed
    this.address = options.address
    this.id = options.id
    this.#log = options.log
  }

  get log(): Log {
    this.#childLog ??= this.#log.child({ requestId: this.id })
    return this.#childLog
  }

  get query(): Query {
    this.#query ??= this.#readQuery()
    return this.#query
  }

  #readQuery(): Query {
    const { url = '' } = this.request
    const mark = url.indexOf('?')
    return mark < 0 ? NO_QUERY : this.queries.read(url.slice(mark + 1))
  }

  /** Aborts when the connection ends before the answer is out. */
  get signal(): AbortSignal {
    if (!this.#signal) {
      const controller = new AbortController()
      const { response } = this
      if (response.destroyed) controller.abort()
      else response.once('close', () => response.writableFinished || controller.abort())
      this.#signal = controller.signal
    }
    return this.#signal
  }

  /** A parameter of the path; routes that ask for one have it. */
  param(name: string): string {
    return this.params[name] ?? ''
  }

  /** A whole number of the query, or `fallback` when it is not given. */
  integer(name: string, fallback: number): number {
    const text = this.query.get(name)
    if (text === null || text === '') return fallback
    if (!/^-?\d{1,15}$/.test(text)) throw new Refused('bad_parameter', `${name} does not appear to be an integer`)
    return Number(text)
  }

  /** A yes or no of the query, in the spellings that Go accepts, as in MMR. */
  flag(name: string, fallback: boolean): boolean {
    const text = this.query.get(name)
    if (text === null || text === '') return fallback
    if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true
    if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false
    throw new Refused('bad_parameter', `${name} must be true or false`)
  }

  /**
   * The body as it comes, each chunk good until the next is asked for. A client that breaks off ends it with `CallerGone`;
   * ending early leaves the connection usable.
   */
  async *body(): AsyncGenerator<Uint8Array> {
    if (this.request.headers.expect?.toLowerCase() === '100-continue') this.response.writeContinue()
    try {
      for await (const chunk of this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
        yield chunk
        free(chunk)
      }
    } catch (error) {
      if (this.request.destroyed) throw new CallerGone('the connection ended during the upload', { cause: error })
      throw error
    }
  }
}
