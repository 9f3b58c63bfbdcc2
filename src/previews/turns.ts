import type { Clock } from '../lib/clock.ts'
import { lastUsed } from '../lib/last-used.ts'
import { FairWorkQueue } from '../lib/work-queue.ts'

/** From one site, on behalf of however many callers. */
const AT_A_TIME_OF_A_HOST = 4
const MOST_HOSTS = 10_000
const REST_AT_MOST_MS = 15 * 60_000
/** For each preview at a time, so many wait: a room full of links. */
const WAITING_PER_WORKER = 20
const RETRY_WHEN_FULL_MS = 5000

/**
 * The queue of previews: `numWorkers` at a time, half of them for one host, and twenty times as many waiting; whoever comes
 * then is refused with `limited`. The key of its work is the host of the address asked for.
 */
export function previewQueue(numWorkers: number): FairWorkQueue {
  return new FairWorkQueue({
    atATime: numWorkers,
    waiting: numWorkers * WAITING_PER_WORKER,
    retryMs: RETRY_WHEN_FULL_MS,
    what: 'previews are being made',
  })
}

/** A site has asked us to come later. */
export class HostRests extends Error {
  override readonly name = 'HostRests'

  constructor(host: string, forMs: number) {
    super(`${host} wants to be left alone for another ${Math.ceil(forMs / 1000)} s`)
  }
}

interface Host {
  busy: number
  readonly waiting: (() => void)[]
}

/** Whose turn it is to ask a host: four at a time, whoever wants it, and nobody while it wants to be left alone. */
export class HostTurns {
  readonly #clock: Clock
  readonly #hosts = new Map<string, Host>()
  readonly #restUntil = lastUsed<number>(MOST_HOSTS)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Waits for a turn, and gives what ends it.
   *
   * @throws {HostRests} when the host is to be left alone, also if it came to that while we waited
   * @throws the signal's reason, when it aborts first
   */
  async take(name: string, signal: AbortSignal): Promise<() => void> {
    this.#throwIfResting(name)
    const host = this.#hosts.get(name) ?? { busy: 0, waiting: [] }
    this.#hosts.set(name, host)
    if (host.busy < AT_A_TIME_OF_A_HOST) host.busy++
    else await turnOf(host, signal)
    const end = onlyOnce(() => this.#end(name, host))
    try {
      this.#throwIfResting(name)
    } catch (error) {
      end()
      throw error
    }
    return end
  }

  /** Leaves a host alone for so long, for a quarter of an hour at most. */
  rest(name: string, ms: number): void {
    this.#restUntil.set(name, this.#clock.now() + Math.min(ms, REST_AT_MOST_MS))
  }

  #throwIfResting(name: string): void {
    const left = (this.#restUntil.get(name) ?? 0) - this.#clock.now()
    if (left > 0) throw new HostRests(name, left)
  }

  /** The turn is the next one's, who counts as busy already. */
  #end(name: string, host: Host): void {
    const next = host.waiting.shift()
    if (next) return next()
    host.busy--
    if (host.busy === 0) this.#hosts.delete(name)
  }
}

async function turnOf(host: Host, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const leave = () => {
    const place = host.waiting.indexOf(resolve)
    if (place >= 0) host.waiting.splice(place, 1)
    reject(signal.reason)
  }
  host.waiting.push(resolve)
  signal.addEventListener('abort', leave, { once: true })
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', leave)
  }
}

function onlyOnce(end: () => void): () => void {
  let ended = false
  return () => {
    if (!ended) end()
    ended = true
  }
}
