import type { Machine } from '../lib/machine.ts'

/** What a worker holds at its peak for all but a few files: a progressive JPEG or an animation of 12 megapixels. */
const USUAL_PEAK_BYTES = 128 * 1024 ** 2
/** Workers are to have at most this part of the memory: the rest is for the server, the database and the page cache. */
const PART_OF_MEMORY = 1 / 4

/** How many workers are started at most: as many as are configured, have a core, and have memory; at least one. */
export function workerCount(configured: number, { cores, memoryBytes }: Machine): number {
  const affordable = Math.floor((memoryBytes * PART_OF_MEMORY) / USUAL_PEAK_BYTES)
  return Math.max(1, Math.min(configured, cores, affordable))
}
