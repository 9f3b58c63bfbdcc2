import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Log } from '../lib/log.ts'
import type { Transport, TransportEvents } from './transport.ts'

const CHANNEL = 'cellarium'
const RETRY_MS = 2000
const QUERY_TIMEOUT_MS = 3000

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
  #client: pg.Client | undefined
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

  async send(text: string): Promise<void> {
    if (!this.#client) throw new Error('no connection to PostgreSQL')
    await this.#client.query('SELECT pg_notify($1, $2)', [CHANNEL, text])
  }

  async #connect(): Promise<void> {
    const client = new pg.Client(this.#config)
    let lost = false
    const onLost = (error?: Error) => {
      if (lost) return
      lost = true
      this.#client = undefined
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
    this.#client = client
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
    await this.#client?.end()
  }
}
