import { writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import type { Log } from '../lib/log.ts'

/** Between the usual 0 and the last, 19: a tenth of what the server gets where both want all of a core. */
const NICENESS = 10

/**
 * Has a process that was just started, with all the threads and programs that it is going to start, give way to the server: what
 * is there already is sent at its usual pace while thumbnails are made. To be called at once: threads that it has already are
 * left as they are. Source: sched(7), "The nice value", "The autogroup feature".
 */
export function giveWay(pid: number, log: Log): void {
  try {
    setPriority(pid, NICENESS)
  } catch (error) {
    // It has ended already, and whoever started it hears that, or this machine does not want it.
    log.debug({ err: error, pid }, 'a thumbnail worker keeps the priority of the server')
  }
  // A process group of its own is a session of its own, which many kernels treat as one, whatever its processes' niceness.
  if (process.platform === 'linux') writeFile(`/proc/${pid}/autogroup`, String(NICENESS)).catch(() => {})
}
