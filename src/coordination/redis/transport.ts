import type { Transport, TransportEvents } from '../transport.ts'
import type { RedisTarget } from './client.ts'
import { RedisConnection } from './connection.ts'

/** Sending is no request's business, so it may take longer than looking something up. */
const SEND_TIMEOUT_MS = 1500

export interface RedisTransportParts {
  /** Only those who say the same channel hear each other. */
  readonly channel: string
  readonly onUp: () => void
  readonly onDown: (error: unknown) => void
}

/** Redis's PUBLISH and SUBSCRIBE on one server, on a connection of its own. */
export class RedisTransport implements Transport {
  readonly name: string
  readonly target: RedisTarget
  readonly #parts: RedisTransportParts
  #connection: RedisConnection | undefined

  constructor(target: RedisTarget, parts: RedisTransportParts) {
    this.name = `Redis ${target.name}`
    this.target = target
    this.#parts = parts
  }

  async start(events: TransportEvents): Promise<void> {
    const { channel, onUp, onDown } = this.#parts
    this.#connection = new RedisConnection({
      target: this.target,
      timeoutMs: SEND_TIMEOUT_MS,
      prepare: (client) => client.subscribe(channel, events.onText),
      onUp: () => {
        onUp()
        events.onConnected()
      },
      onDown: (error) => {
        events.onLost()
        onDown(error)
      },
    })
    await this.#connection.start()
  }

  async send(text: string): Promise<void> {
    if (!this.#connection) throw new Error(`${this.name} was not started`)
    await this.#connection.command('PUBLISH', this.#parts.channel, text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection?.[Symbol.asyncDispose]()
  }
}
