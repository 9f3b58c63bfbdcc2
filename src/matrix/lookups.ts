import type { LRUCache } from 'lru-cache'
import { lastUsed } from '../lib/last-used.ts'
import type { Clock } from '../lib/clock.ts'
import { waitFor } from '../lib/shared-work.ts'

/** The answer to a look-up. */
export interface Found<Value> {
  readonly value: Value
  /** How long the answer may be used again, in ms; 0 for not at all. */
  readonly keepMs: number
  /** By what the kept answer can be forgotten, besides the tags of the question. */
  readonly tags?: readonly string[]
}

export interface Question<Value> {
  /** Equal questions have equal keys. */
  readonly key: string
  /** By what the look-up and its answer can be forgotten. */
  readonly tags: readonly string[]
  /** A rejection reaches everybody who waits and is never kept. */
  readonly ask: () => Promise<Found<Value>>
}

interface Kept<Value> {
  readonly value: Value
  readonly until: number
  readonly tags: readonly string[]
}

interface Flight<Value> {
  readonly answer: Promise<Value>
  readonly tags: readonly string[]
}

/**
 * Look-ups that are made once however many ask at the same time, and whose answers are kept for a while. Nobody's hanging up
 * disturbs the look-up (MMR's shared look-up died with the first caller). What is forgotten while it is being looked up is
 * looked up again by the next who asks, and the late answer is not kept.
 */
export class SharedLookups<Value> {
  readonly #clock: Clock
  readonly #kept: LRUCache<string, Kept<Value>>
  readonly #flights = new Map<string, Flight<Value>>()
  readonly #keysByTag = new Map<string, Set<string>>()

  /** `most` bounds the number of kept answers; the least used go first. */
  constructor(parts: { readonly clock: Clock; readonly most: number }) {
    this.#clock = parts.clock
    this.#kept = lastUsed<Kept<Value>>(parts.most, { dispose: (kept, key) => this.#untag(key, kept.tags) })
  }

  /**
   * The answer: kept, awaited together with others, or asked for.
   *
   * @throws {CallerGone} once the signal aborts; only this caller stops waiting
   */
  async find(question: Question<Value>, asker?: { readonly signal?: AbortSignal | undefined }): Promise<Value> {
    const kept = this.kept(question.key)
    if (kept !== undefined) return kept
    const flight = this.#flights.get(question.key) ?? this.#start(question)
    return waitFor(flight.answer, asker?.signal)
  }

  /** The answer to the question with this key, if it is kept. */
  kept(key: string): Value | undefined {
    const kept = this.#kept.get(key)
    return kept && this.#clock.now() < kept.until ? kept.value : undefined
  }

  /** Forgets the answers with this tag, and lets nobody join a look-up with this tag that is under way. */
  forget(tag: string): void {
    for (const key of this.#keysByTag.get(tag) ?? []) this.#kept.delete(key)
    for (const [key, flight] of this.#flights) if (flight.tags.includes(tag)) this.#flights.delete(key)
  }

  /** Lets nobody join a look-up that is under way, and keeps none of their answers: for a tag only an answer can tell. */
  forgetLookupsUnderWay(): void {
    this.#flights.clear()
  }

  forgetAll(): void {
    this.#flights.clear()
    this.#kept.clear()
  }

  #start(question: Question<Value>): Flight<Value> {
    const { key, tags } = question
    const leave = () => this.#flights.get(key) === flight && this.#flights.delete(key)
    const land = (found: Found<Value>): Value => {
      if (leave() && found.keepMs > 0) this.#keep(key, found, tags)
      return found.value
    }
    const fail = (error: unknown): never => {
      leave()
      throw error
    }
    const flight: Flight<Value> = { tags, answer: question.ask().then(land, fail) }
    this.#flights.set(key, flight)
    return flight
  }

  #keep(key: string, found: Found<Value>, questionTags: readonly string[]): void {
    const tags = [...questionTags, ...(found.tags ?? [])]
    this.#kept.set(key, { value: found.value, until: this.#clock.now() + found.keepMs, tags })
    for (const tag of tags) {
      const keys = this.#keysByTag.get(tag)
      if (keys) keys.add(key)
      else this.#keysByTag.set(tag, new Set([key]))
    }
  }

  #untag(key: string, tags: readonly string[]): void {
    for (const tag of tags) {
      const keys = this.#keysByTag.get(tag)
      if (keys?.delete(key) && keys.size === 0) this.#keysByTag.delete(tag)
    }
  }
}
