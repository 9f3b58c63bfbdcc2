/** Randomness that a test can have again: the same seed gives the same numbers. */
import { randomInt } from 'node:crypto'

export interface Random {
  /** What it began with, for the test to say. */
  readonly seed: number
  /** From 0, below `limit`. */
  readonly below: (limit: number) => number
  /** One of these. */
  readonly of: <Value>(values: readonly [Value, ...Value[]]) => Value
}

/** Numbers of `seed`: that of CELLARIUM_TEST_SEED, or one of its own. */
export function seededRandom(seed = Number(process.env['CELLARIUM_TEST_SEED'] ?? randomInt(1_000_000))): Random {
  let state = seed
  // Mulberry32, as published by Tommy Ettinger into the public domain.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return { seed, below, of: (values) => values[below(values.length)] ?? values[0] }
}
