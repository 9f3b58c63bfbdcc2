import { writeFile } from 'node:fs/promises'
import { getPriority, setPriority } from 'node:os'
import type { Log } from '../lib/log.ts'

const NICEST = 19

/**
 * Has a process that was just started, with all the threads and programs that it is going to start, give way to this one and
 * its equals: `by` is what is added to our own niceness, 0 to 19. To be called at once: threads that it has already
 * are left as they are. Source: sched(7), "The nice value", "The autogroup feature".
 */
export function giveWay(pid: number, by: number, log: Log): void {
  if (by === 0) return
  const niceness = Math.min(NICEST, getPriority() + by)
  try {
    setPriority(pid, niceness)
  } catch (error) {
    // It has ended already, which whoever started it hears, or this machine does not allow it.
    log.debug({ err: error, pid }, 'a thumbnail worker keeps the priority of the server')
  }
  // A process group of its own is a session of its own, which many kernels treat as one, whatever its processes' niceness.
  if (process.platform === 'linux') writeFile(`/proc/${pid}/autogroup`, String(niceness)).catch(() => {})
}
