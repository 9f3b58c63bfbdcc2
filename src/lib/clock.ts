/** Where time comes from. Passed in, so that tests can hold it; nothing else in `src` reads the clock. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }
