/**
 * How long this process keeps others from their turn, whatever else the machine does meanwhile: counted in the processor time of
 * the main thread, which stands still while other programs have the processor.
 */
export interface Pauses {
  /** The longest time between two turns of the event loop, in ms of processor time. */
  readonly longestMs: number
  /** Processor time of the whole work, in ms. */
  readonly totalMs: number
  /** How many other turns there were meanwhile: work that only waits, but keeps everybody waiting, shows here. */
  readonly turns: number
}

export async function pausesOf(work: () => Promise<unknown>): Promise<Pauses> {
  const began = usedMs()
  let last = began
  let longestMs = 0
  let turns = 0
  const look = () => {
    const now = usedMs()
    longestMs = Math.max(longestMs, now - last)
    last = now
    turns++
  }
  const ticking = setInterval(look, 1)
  try {
    await work()
  } finally {
    clearInterval(ticking)
  }
  look()
  return { longestMs, totalMs: last - began, turns }
}

function usedMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
