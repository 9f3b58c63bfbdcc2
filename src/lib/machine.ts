import { availableParallelism, totalmem } from 'node:os'

/** What the server has to work with: the machine, or the part of it that the container may use. */
export interface Machine {
  readonly cores: number
  readonly memoryBytes: number
}

/** `constrainedMemory` is the limit of the container; 0, or more than there is, where there is none. */
export function thisMachine(): Machine {
  const limit = process.constrainedMemory()
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem()
  return { cores: availableParallelism(), memoryBytes }
}
