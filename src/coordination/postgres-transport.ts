import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Log } from '../lib/log.ts'
import type { Transport, TransportEvents } from './transport.ts'

const CHANNEL = 'cellarium'
const RETRY_MS = 2000
const QUERY_TIMEOUT_MS = 3000

interface Connection {
  readonly client: pg.Client
  readonly lose: (error: Error) => void
}

interface Unsent {
  readonly text: string
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * PostgreSQL's LISTEN and NOTIFY, on a connection of its own that is opened again when it breaks. A channel belongs to its
 * database, so two repositories never hear each other. Behind a pooler in transaction mode texts can be sent, and none arrive.
 */
export class PostgresTransport implements Transport {
  readonly name = 'PostgreSQL'
  readonly #config: pg.ClientConfig
  readonly #log: Log
  readonly #closing = new AbortController()
  #events: TransportEvents = { onText: () => {}, onConnected: () => {}, onLost: () => {} }
  #connection: Connection | undefined
  readonly #unsent: Unsent[] = []
  #sending = false
  #connecting: Promise<void> = Promise.resolve()

  constructor(config: pg.ClientConfig, parts: { readonly log: Log }) {
    this.#config = {
      ...config,
      application_name: 'cellarium-notifier',
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
      query_timeout: QUERY_TIMEOUT_MS,
    }
    this.#log = parts.log
  }

  async start(events: TransportEvents): Promise<void> {
    this.#events = events
    this.#connecting = this.#connect()
    await this.#connecting
  }

  send(text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#unsent.push({ text, resolve, reject })
    if (!this.#sending) void this.#sendAll()
    return promise
  }

  /** A connection takes one query at a time: what comes meanwhile goes together with the next. */
  async #sendAll(): Promise<void> {
    this.#sending = true
    while (this.#unsent.length > 0) {
      const batch = this.#unsent.splice(0)
      try {
        await this.#query(batch.map(({ text }) => text))
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#sending = false
  }

  async #query(texts: readonly string[]): Promise<void> {
    const connection = this.#connection
    if (!connection) throw new Error('no connection to PostgreSQL')
    try {
      await connection.client.query('SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text', [CHANNEL, texts])
    } catch (error) {
      // A single statement that cannot fail otherwise: the connection is broken, or hangs.
      connection.lose(error as Error)
      throw error
    }
  }

  async #connect(): Promise<void> {
    const client = new pg.Client(this.#config)
    let lost = false
    const onLost = (error?: Error) => {
      if (lost) return
      lost = true
      this.#connection = undefined
      this.#events.onLost()
      if (this.#closing.signal.aborted) return
      this.#log.warn(
        { err: error },
        'no connection for messages between instances; waiting requests may take seconds longer',
      )
      this.#connecting = this.#reconnect(client)
    }
    client.on('error', onLost)
    client.on('end', onLost)
    client.on('notification', ({ payload }) => {
      if (payload && !lost) this.#events.onText(payload)
    })
    try {
      await client.connect()
      await client.query(`LISTEN ${CHANNEL}`)
      if (lost) return
    } catch (error) {
      onLost(error as Error)
      return
    }
    this.#connection = { client, lose: onLost }
    this.#events.onConnected()
  }

  async #reconnect(broken: pg.Client): Promise<void> {
    await broken.end().catch(() => {})
    await delay(RETRY_MS, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {})
    if (!this.#closing.signal.aborted) await this.#connect()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#connecting
    await this.#connection?.client.end()
  }
}
