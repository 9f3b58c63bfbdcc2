import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Log } from '../lib/log.ts'
import { LocalNotifier, type Notifier, type Topic } from './notifier.ts'

const CHANNEL = 'cellarium'
const RETRY_MS = 2000

interface Envelope {
  readonly from: string
  readonly topic: Topic
  readonly message: string
}

/**
 * Messages between instances over PostgreSQL's LISTEN and NOTIFY, on a connection of its own that is opened again when it
 * breaks. Behind a pooler in transaction mode nothing arrives, and waiters find out by looking.
 */
export class PostgresNotifier implements Notifier {
  readonly #local = new LocalNotifier()
  readonly #config: pg.ClientConfig
  readonly #instance: string
  readonly #log: Log
  readonly #closing = new AbortController()
  #client: pg.Client | undefined
  /** Something could not be told to the others. */
  #unsent = false
  #connecting: Promise<void>

  /** `instance` tells this process's own messages from others': any text no other instance has. */
  constructor(config: pg.ClientConfig, parts: { readonly instance: string; readonly log: Log }) {
    this.#config = {
      ...config,
      application_name: 'cellarium-notifier',
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
    }
    this.#instance = parts.instance
    this.#log = parts.log
    this.#connecting = this.#connect()
  }

  /** Resolves when the first connection stands or has failed; it is tried again in the background. */
  ready(): Promise<void> {
    return this.#connecting
  }

  notify(topic: Topic, message: string): void {
    this.#local.notify(topic, message)
    this.#tell(topic, message).catch((error: unknown) => {
      this.#unsent = true
      this.#log.debug({ err: error, topic }, 'other instances could not be told something')
    })
  }

  async announce(topic: Topic, message: string): Promise<void> {
    this.#local.notify(topic, message)
    await this.#tell(topic, message)
  }

  isAttentive(): boolean {
    return false
  }

  on(topic: Topic, listener: (message: string) => void): () => void {
    return this.#local.on(topic, listener)
  }

  async #tell(topic: Topic, message: string): Promise<void> {
    const envelope: Envelope = { from: this.#instance, topic, message }
    if (!this.#client) throw new Error('no connection to PostgreSQL')
    await this.#client.query('SELECT pg_notify($1, $2)', [CHANNEL, JSON.stringify(envelope)])
  }

  async #connect(): Promise<void> {
    const client = new pg.Client(this.#config)
    let lost = false
    const onLost = (error?: Error) => {
      if (lost) return
      lost = true
      this.#client = undefined
      if (this.#closing.signal.aborted) return
      this.#log.warn(
        { err: error },
        'no connection for messages between instances; waiting requests may take seconds longer',
      )
      this.#connecting = this.#reconnect(client)
    }
    client.on('error', onLost)
    client.on('end', onLost)
    client.on('notification', ({ payload }) => this.#receive(payload))
    try {
      await client.connect()
      await client.query(`LISTEN ${CHANNEL}`)
      this.#client = client
    } catch (error) {
      onLost(error as Error)
      return
    }
    this.#catchUp()
  }

  /** What was said while there was no connection is gone, in both directions. */
  #catchUp(): void {
    this.#local.notify('missed', '')
    if (!this.#unsent) return
    this.#unsent = false
    this.#tell('missed', '').catch(() => (this.#unsent = true))
  }

  async #reconnect(broken: pg.Client): Promise<void> {
    await broken.end().catch(() => {})
    await delay(RETRY_MS, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {})
    if (!this.#closing.signal.aborted) await this.#connect()
  }

  #receive(payload: string | undefined): void {
    if (!payload) return
    const envelope = JSON.parse(payload) as Envelope
    if (envelope.from !== this.#instance) this.#local.notify(envelope.topic, envelope.message)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#connecting
    await this.#client?.end()
    await this.#local[Symbol.asyncDispose]()
  }
}
