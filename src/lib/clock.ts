/** Where time comes from. Passed in, so that tests can hold it; nothing else in `src` reads the clock. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/**
 * A clock for measuring how long ago something was: it never goes back, and it also counts time in which the machine slept
 * or stood still, as far as the system's time of day shows it. Its numbers mean nothing by themselves.
 */
export function steadyClock(): Clock {
  const [wallBegan, steadyBegan] = [Date.now(), performance.now()]
  let slept = 0
  return {
    now() {
      const steady = performance.now() - steadyBegan
      slept = Math.max(slept, Date.now() - wallBegan - steady)
      return steady + slept
    },
  }
}
