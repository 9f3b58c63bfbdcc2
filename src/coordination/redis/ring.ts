import { hash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { RedisTarget } from './client.ts'
import { RedisConnection } from './connection.ts'

interface Shard {
  readonly target: RedisTarget
  readonly connection: RedisConnection
}

export interface RingParts {
  /** How long a command may take, in ms; 250 if not given. */
  readonly timeoutMs?: number | undefined
  readonly onUp: (shard: string) => void
  /** A server was lost, or could not be had to begin with; again when there is another reason why it cannot be had. */
  readonly onDown: (shard: string, error: unknown) => void
}

/**
 * Several Redis servers, each with a part of the keys. Which one a key belongs to depends on the servers' names alone
 * (rendezvous hashing): when one is added or removed, only keys that go to it or come from it move. Every instance with the
 * same names finds the same.
 */
export class RedisRing implements AsyncDisposable {
  readonly #parts: RingParts
  #shards: readonly Shard[] = []

  constructor(parts: RingParts) {
    this.#parts = parts
  }

  /** Makes these the servers; what is configured as before keeps its connection. Resolves when the new ones were tried. */
  async configure(targets: readonly RedisTarget[]): Promise<void> {
    const before = this.#shards
    this.#shards = targets.map((target) => {
      const same = before.find((shard) => isDeepStrictEqual(shard.target, target))
      return same ?? { target, connection: this.#connect(target) }
    })
    const gone = before.filter((shard) => !this.#shards.includes(shard))
    const added = this.#shards.filter((shard) => !before.includes(shard))
    await Promise.all([
      ...added.map(({ connection }) => connection.start()),
      ...gone.map(({ connection }) => connection[Symbol.asyncDispose]()),
    ])
  }

  /** Whether any server is there. */
  get isUp(): boolean {
    return this.#shards.some(({ connection }) => connection.isUp)
  }

  /** The server for a key: the first of its ranking that is there, so that others stand in for one that is away. */
  for(key: string): RedisConnection | undefined {
    const there = this.#shards.filter(({ connection }) => connection.isUp)
    const name = ranking(
      there.map(({ target }) => target.name),
      key,
    )[0]
    return there.find(({ target }) => target.name === name)?.connection
  }

  #connect(target: RedisTarget): RedisConnection {
    const { timeoutMs, onUp, onDown } = this.#parts
    return new RedisConnection({
      target,
      timeoutMs,
      onUp: () => onUp(target.name),
      onDown: (error) => onDown(target.name, error),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.configure([])
  }
}

/** The names in the order in which they are responsible for a key. */
export function ranking(names: readonly string[], key: string): readonly string[] {
  const weighed = names.map((name) => ({ name, weight: hash('sha256', `${name}\n${key}`) }))
  return weighed.sort((a, b) => (a.weight < b.weight ? 1 : -1)).map(({ name }) => name)
}
