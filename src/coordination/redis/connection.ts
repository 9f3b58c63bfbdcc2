import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { openClient, type RedisClient, RedisRefused, type RedisTarget } from './client.ts'

/** How long a command may take, in ms: what a Redis that hangs costs a request, once. */
const COMMAND_TIMEOUT_MS = 250
const CONNECT_TIMEOUT_MS = 3000
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5000
const CHECK_EVERY_MS = 2000

/** Redis is not there, or does not answer in time; nothing is to be expected from it for the moment. */
export class RedisUnavailable extends Error {
  override readonly name = 'RedisUnavailable'
}

class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
}

export interface RedisConnectionParts {
  readonly target: RedisTarget
  /** In ms; 250 if not given. */
  readonly timeoutMs?: number | undefined
  /** Makes a new connection ready, before anybody can use it. */
  readonly prepare?: (client: RedisClient) => Promise<void>
  /** Whenever the connection stands, also for the first time. */
  readonly onUp: () => void
  /** Each time it is lost, or when it could not be had to begin with; until it stands again, once for each kind of reason. */
  readonly onDown: (error: unknown) => void
}

/**
 * A connection to one Redis server. When it breaks, or one command is not answered in time, or what comes back is not Redis's
 * protocol, it is given up and opened again in the background; until then every command fails at once. So a server that hangs
 * costs those who asked it just then a quarter of a second, and nobody after them anything.
 */
export class RedisConnection implements AsyncDisposable {
  readonly #parts: RedisConnectionParts
  readonly #closing = new AbortController()
  #client: RedisClient | undefined
  #opening: Promise<void> = Promise.resolve()
  #checks: NodeJS.Timeout | undefined
  /** Why it is gone, as far as that was said: nobody looks for a wrong password behind a server that was only away. */
  readonly #toldDown = new Set<string>()

  constructor(parts: RedisConnectionParts) {
    this.#parts = parts
  }

  /** Resolves when the first attempt has succeeded or failed. */
  async start(): Promise<void> {
    const firstAttempt = Promise.withResolvers<void>()
    this.#opening = this.#open(firstAttempt.resolve)
    this.#checks = setInterval(() => this.#check(), CHECK_EVERY_MS).unref()
    await firstAttempt.promise
  }

  get isUp(): boolean {
    return this.#client !== undefined
  }

  /**
   * Redis's reply, unchecked: bytes as Buffer.
   *
   * @throws {RedisUnavailable} when there is no connection, or no reply in time
   * @throws {RedisRefused} when Redis says no
   */
  async command(...words: readonly (string | Buffer)[]): Promise<unknown> {
    const client = this.#client
    if (!client) throw new RedisUnavailable(`Redis ${this.#parts.target.name} is not there`)
    const timeoutMs = this.#parts.timeoutMs ?? COMMAND_TIMEOUT_MS
    try {
      return await within(timeoutMs, client.command(words))
    } catch (error) {
      if (error instanceof RedisRefused) throw error
      this.#lose(client, error)
      throw new RedisUnavailable(`Redis ${this.#parts.target.name} does not answer`, { cause: error })
    }
  }

  async #open(attempted: () => void): Promise<void> {
    const { signal } = this.#closing
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const opened = await this.#tryToOpen()
      attempted()
      if (opened) return
      await delay(pauseMs, undefined, { signal, ref: false }).catch(() => {})
    }
    attempted()
  }

  async #tryToOpen(): Promise<boolean> {
    const attempt = new AbortController()
    const signal = AbortSignal.any([attempt.signal, this.#closing.signal])
    let client: RedisClient | undefined
    let lost: { readonly error: unknown } | undefined
    const onLost = (error: unknown) => {
      lost = { error }
      if (client && this.#client === client) this.#lose(client, error)
    }
    try {
      client = await within(
        CONNECT_TIMEOUT_MS,
        openClient(this.#parts.target, { signal, onLost }),
        this.#closing.signal,
      )
      await within(CONNECT_TIMEOUT_MS, this.#parts.prepare?.(client) ?? Promise.resolve(), this.#closing.signal)
      if (lost) throw lost.error
    } catch (error) {
      attempt.abort()
      this.#sayDown(error)
      return false
    }
    this.#client = client
    this.#toldDown.clear()
    this.#parts.onUp()
    return true
  }

  #lose(client: RedisClient, error: unknown): void {
    client.destroy()
    if (this.#client !== client) return
    this.#client = undefined
    this.#sayDown(error)
    this.#opening = this.#open(() => {})
  }

  #sayDown(error: unknown): void {
    const kind = kindOf(error)
    if (this.#toldDown.has(kind) || this.#closing.signal.aborted) return
    this.#toldDown.add(kind)
    this.#parts.onDown(error)
  }

  /** A connection that nobody uses may be dead without anybody noticing. */
  #check(): void {
    if (this.#client) this.command('PING').catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#checks)
    await this.#opening
    this.#client?.destroy()
    this.#client = undefined
  }
}

/** What a server that ends looks like, depending on the moment. */
const GONE = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE'])

/** Errors of one kind are worth one line of the log: Redis's own word (WRONGPASS, LOADING), or the code of network or TLS. */
function kindOf(error: unknown): string {
  if (error instanceof RedisRefused) return error.message.split(' ', 1)[0] ?? ''
  if (error instanceof NoAnswer) return 'no answer'
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return code === undefined || GONE.has(code) ? 'gone' : code
}

/** The result, unless it takes longer than `ms`. A process that was busy itself looks once more before it says so. */
async function within<Result>(ms: number, result: Promise<Result>, stop?: AbortSignal): Promise<Result> {
  const timer = new AbortController()
  const signal = stop ? AbortSignal.any([timer.signal, stop]) : timer.signal
  const late = async (): Promise<never> => {
    await delay(ms, undefined, { signal })
    await nextTurn()
    throw new NoAnswer(`no answer within ${ms} ms`)
  }
  const timeout = late()
  timeout.catch(() => {})
  try {
    return await Promise.race([result, timeout])
  } finally {
    timer.abort()
    result.catch(() => {})
  }
}
