import { setTimeout as delay } from 'node:timers/promises'
import { lastUsed } from '../lib/last-used.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { Answers, Peers, SILENCE_MS } from './answers.ts'
import { Attention, ECHO_MS } from './attention.ts'
import { type Envelope, readEnvelope, writeEnvelope } from './envelope.ts'
import { type Listener, LocalNotifier, type Notifier, type Topic } from './notifier.ts'
import type { Transport } from './transport.ts'

const BEAT_EVERY_MS = 1000
const TRY_FOR_MS = 10_000
const TRY_AGAIN_MS = 500
/** While nothing is heard, what is kept counts as missed so often. */
const DEAF_MISSED_EVERY_MS = 60_000
/** A start, or a connection opened again, takes less; after this long without an echo an administrator should know. */
const DEAF_WARN_AFTER_MS = 10_000
const KNOWN_MESSAGES = 10_000

export interface NotifierParts {
  /** Tells this process from others: any text that no other instance has. */
  readonly instance: string
  /** A steady one. */
  readonly clock: Clock
  readonly log: Log
}

/** What is known of one transport's sending. */
interface Sending {
  readonly transport: Transport
  /** The last beat is still on its way; a transport that hangs gets no more of them. */
  beating: boolean
  /** Something could not be told to the others over it. */
  unsent: boolean
}

/**
 * Messages between instances over one or several transports at once: each is sent over all of them and counts once. The first
 * transport is the database's, which every instance has; the others make up for what it cannot do (behind a pooler nothing
 * arrives over it) and may come, go and fail.
 *
 * Each instance sends a beat each second. `Attention` tells from its echo whether this instance hears; `Peers` knows by
 * others' beats whose answer an announcement waits for. Who does not answer for three seconds has had no echo of its own
 * for two, and trusts nothing that it keeps.
 */
export class SharedNotifier implements Notifier {
  readonly #local: LocalNotifier
  readonly #parts: NotifierParts
  readonly #first: Sending
  #others: readonly Sending[] = []
  readonly #attention: Attention<Transport>
  readonly #peers = new Peers()
  /** Announcements of this instance that wait for answers, by their id. */
  readonly #waiting = new Map<string, Answers>()
  readonly #seen = lastUsed<true>(KNOWN_MESSAGES)
  readonly #closing = new AbortController()
  #messages = 0
  #beats: NodeJS.Timeout | undefined
  #deafSince: number | undefined
  /** Since when this instance has heard everything. */
  #hearsSince = Infinity
  #deafWarned = false
  #missedAt = 0

  constructor(first: Transport, parts: NotifierParts) {
    this.#parts = parts
    this.#first = sendingOver(first)
    this.#attention = new Attention(first)
    this.#local = new LocalNotifier({ log: parts.log, onFailure: () => this.#attention.startAnew() })
  }

  /** Begins; resolves when the first connections stand or have failed. They are tried again in the background. */
  async start(others: readonly Transport[] = []): Promise<void> {
    this.#beats = setInterval(() => this.#beat(), BEAT_EVERY_MS).unref()
    await Promise.all([this.#begin(this.#first), this.useAlso(others)])
  }

  /** Makes these the transports beside the first. Those that were used before and are not named are ended. */
  async useAlso(others: readonly Transport[]): Promise<void> {
    const before = this.#others
    this.#others = others.map(
      (transport) => before.find((one) => one.transport === transport) ?? sendingOver(transport),
    )
    const gone = before.filter((one) => !others.includes(one.transport))
    const added = this.#others.filter((one) => !before.includes(one))
    await Promise.all([...added.map((one) => this.#begin(one)), ...gone.map((one) => this.#end(one))])
  }

  notify(topic: Topic, message: string): void {
    this.#local.notify(topic, message)
    this.#sendOverAll({ kind: 'told', from: this.#parts.instance, id: this.#newId(), topic, message })
  }

  async announce(topic: Topic, message: string): Promise<void> {
    const handledHere = this.#local.announce(topic, message)
    const [id, answers] = [this.#newId(), new Answers()]
    this.#waiting.set(id, answers)
    try {
      const envelope: Envelope = { kind: 'asked', from: this.#parts.instance, id, topic, message }
      for (const other of this.#others) this.#sendOver(other, envelope)
      await this.#sendSurely(envelope)
      await this.#untilHandled(answers)
      await handledHere
    } finally {
      this.#waiting.delete(id)
    }
  }

  isAttentive(): boolean {
    return !this.#closing.signal.aborted && this.#attention.isFresh(this.#parts.clock.now())
  }

  on(topic: Topic, listener: Listener): () => void {
    return this.#local.on(topic, listener)
  }

  async #sendSurely(envelope: Envelope): Promise<void> {
    const { clock } = this.#parts
    const text = writeEnvelope(envelope)
    const deadline = clock.now() + TRY_FOR_MS
    for (;;) {
      try {
        return await this.#first.transport.send(text)
      } catch (error) {
        this.#first.unsent = true
        if (clock.now() >= deadline || this.#closing.signal.aborted) {
          const message = `other instances could not be told over ${this.#first.transport.name} that something changed`
          throw new Error(message, { cause: error })
        }
      }
      await delay(TRY_AGAIN_MS, undefined, { signal: this.#closing.signal }).catch(() => {})
    }
  }

  async #untilHandled(answers: Answers): Promise<void> {
    const { clock, log } = this.#parts
    const sentAt = clock.now()
    while (!this.#knowsPeers() || !answers.areComplete(this.#peers.alive(clock.now()))) {
      if (this.#closing.signal.aborted) return
      if (clock.now() - sentAt >= SILENCE_MS) {
        log.debug('an instance did not answer; by now it trusts nothing that it keeps')
        return
      }
      await answers.next()
    }
  }

  /** Every instance that may trust what it keeps has sent a beat since this one began to listen. */
  #knowsPeers(): boolean {
    return this.isAttentive() && this.#parts.clock.now() - this.#hearsSince >= ECHO_MS
  }

  #sendOverAll(envelope: Envelope): void {
    for (const one of this.#all()) this.#sendOver(one, envelope)
  }

  #sendOver(one: Sending, envelope: Envelope): void {
    one.transport.send(writeEnvelope(envelope)).catch((error: unknown) => {
      one.unsent = true
      this.#parts.log.debug({ err: error, over: one.transport.name }, 'other instances could not be told something')
    })
  }

  #beat(): void {
    const now = this.#parts.clock.now()
    const count = this.#attention.begin(now)
    for (const one of this.#all()) this.#beatOver(one, count)
    this.#noteDeafness(now)
  }

  #beatOver(one: Sending, count: number): void {
    if (one.beating) return
    one.beating = true
    this.#sendBeat(one, count)
      // The transport itself has said in the log that it is gone.
      .catch((error: unknown) => this.#parts.log.trace({ err: error, over: one.transport.name }, 'no beat was sent'))
      .finally(() => (one.beating = false))
  }

  async #sendBeat(one: Sending, count: number): Promise<void> {
    const { instance } = this.#parts
    await one.transport.send(writeEnvelope({ kind: 'beat', from: instance, count }))
    if (one === this.#first) this.#learn(() => this.#attention.accepted(count))
    if (!one.unsent) return
    one.unsent = false
    this.#sendOver(one, { kind: 'told', from: instance, id: this.#newId(), topic: 'missed', message: '' })
  }

  /** What was kept while nothing may have been heard must not count once something is. */
  #learn(change: () => void): void {
    const before = this.isAttentive()
    change()
    if (before || !this.isAttentive()) return
    if (this.#deafWarned) this.#parts.log.info('messages between instances arrive again')
    this.#deafSince = undefined
    this.#deafWarned = false
    this.#hearsSince = this.#parts.clock.now()
    this.#local.notify('missed', '')
  }

  #noteDeafness(now: number): void {
    if (this.isAttentive()) return
    this.#deafSince ??= now
    if (now - this.#deafSince < DEAF_WARN_AFTER_MS) return
    if (!this.#deafWarned) {
      this.#deafWarned = true
      this.#parts.log.warn(
        'messages between instances do not arrive (behind a pooler in transaction mode they cannot: give ' +
          'database.postgres an address past it, or use Redis): less is kept in memory, and changes take seconds longer',
      )
    }
    if (now - this.#missedAt < DEAF_MISSED_EVERY_MS) return
    this.#missedAt = now
    this.#local.notify('missed', '')
  }

  #receive(over: Transport, text: string): void {
    const envelope = readEnvelope(text)
    if (!envelope) return
    if (envelope.from === this.#parts.instance) this.#receiveOwn(over, envelope)
    else this.#receiveOthers(envelope)
  }

  #receiveOwn(over: Transport, envelope: Envelope): void {
    if (envelope.kind === 'beat') this.#learn(() => this.#attention.echoed(over, envelope.count))
    if (envelope.kind === 'asked') this.#waiting.get(envelope.id)?.echoed()
  }

  #receiveOthers(envelope: Envelope): void {
    const { from } = envelope
    if (envelope.kind === 'goodbye') {
      this.#peers.gone(from)
      return
    }
    this.#peers.heard(from, this.#parts.clock.now())
    if (envelope.kind === 'handled') this.#waiting.get(envelope.id)?.handledBy(from)
    if (envelope.kind !== 'told' && envelope.kind !== 'asked') return
    if (this.#seen.has(envelope.id)) return
    this.#seen.set(envelope.id, true)
    const handled = this.#local.announce(envelope.topic, envelope.message)
    if (envelope.kind !== 'asked') return
    const answer: Envelope = { kind: 'handled', from: this.#parts.instance, id: envelope.id }
    void handled.then(() => this.#sendOverAll(answer))
  }

  async #begin(one: Sending): Promise<void> {
    const { transport } = one
    await transport.start({
      onText: (text) => this.#receive(transport, text),
      onConnected: () => this.#beatOver(one, this.#attention.begin(this.#parts.clock.now())),
      onLost: () => this.#attention.lost(transport),
    })
  }

  async #end(one: Sending): Promise<void> {
    this.#attention.lost(one.transport)
    await one.transport[Symbol.asyncDispose]()
  }

  #all(): readonly Sending[] {
    return [this.#first, ...this.#others]
  }

  #newId(): string {
    return `${this.#parts.instance}.${++this.#messages}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#beats)
    const goodbye = writeEnvelope({ kind: 'goodbye', from: this.#parts.instance })
    await Promise.allSettled(this.#all().map((one) => one.transport.send(goodbye)))
    await Promise.all(this.#all().map((one) => this.#end(one)))
    await this.#local[Symbol.asyncDispose]()
  }
}

function sendingOver(transport: Transport): Sending {
  return { transport, beating: false, unsent: false }
}
