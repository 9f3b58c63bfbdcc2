import { setTimeout as delay } from 'node:timers/promises'

/** How long an instance is waited for that does not answer: longer than it may trust what it keeps (`ECHO_MS`), in ms. */
export const SILENCE_MS = 3000
const LOOK_EVERY_MS = 200

/** The other instances that were heard of lately. */
export class Peers {
  readonly #heardAt = new Map<string, number>()

  heard(instance: string, now: number): void {
    this.#heardAt.set(instance, now)
  }

  gone(instance: string): void {
    this.#heardAt.delete(instance)
  }

  alive(now: number): readonly string[] {
    for (const [instance, at] of this.#heardAt) if (now - at > SILENCE_MS) this.#heardAt.delete(instance)
    return [...this.#heardAt.keys()]
  }
}

/** What came back of one question to all instances. */
export class Answers {
  /** Heard by this instance itself: so was, before it, every beat by which another became known. */
  #echoed = false
  readonly #handledBy = new Set<string>()
  #changed = Promise.withResolvers<void>()

  echoed(): void {
    this.#echoed = true
    this.#changed.resolve()
  }

  handledBy(instance: string): void {
    this.#handledBy.add(instance)
    this.#changed.resolve()
  }

  /** Whether everybody who is alive has answered. */
  areComplete(alive: readonly string[]): boolean {
    return this.#echoed && alive.every((instance) => this.#handledBy.has(instance))
  }

  /** Resolves soon after something has changed, and now and then, because time has passed too. */
  async next(): Promise<void> {
    const waiting = new AbortController()
    await Promise.race([this.#changed.promise, delay(LOOK_EVERY_MS, undefined, { signal: waiting.signal })])
    waiting.abort()
    this.#changed = Promise.withResolvers()
  }
}
