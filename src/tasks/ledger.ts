import { sweepTasks } from '../db/tasks.ts'
import type { Database } from '../db/connect.ts'
import { tasksForgotten } from '../lib/background-events.ts'
import type { Clock } from '../lib/clock.ts'
import type { EventParts } from '../lib/events.ts'
import type { Job } from './schedule.ts'

const DAY_MS = 24 * 3_600_000
const BATCH = 500

export interface LedgerParts {
  readonly db: Pick<Database, 'write'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/** Deletes tasks that ended more than `keepDays()` ago; 0: none, ever. */
export function ledgerJob({ db, clock, events }: LedgerParts, keepDays: () => number): Job {
  return {
    name: 'tasks',
    everyMs: DAY_MS,
    async run({ signal }) {
      const days = keepDays()
      if (days === 0) return undefined
      let tasks = 0
      for (let batch = BATCH; batch === BATCH && !signal.aborted; tasks += batch) {
        batch = await db.write(sweepTasks, { before: clock.now() - days * DAY_MS, limit: BATCH })
      }
      if (tasks > 0) tasksForgotten(events, { tasks, days })
      return { report: { tasks } }
    },
  }
}
