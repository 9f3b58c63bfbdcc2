import { forgetDeeds } from '../db/audit.ts'
import { sweepLeases } from '../db/leases.ts'
import { sweepReservations } from '../db/pending.ts'
import { sweepTombstones } from '../db/tombstones.ts'
import { foldUsage } from '../db/usage.ts'
import type { Clock } from '../lib/clock.ts'
import { deleteUnused, type UnusedParts } from '../media/unused.ts'
import type { Job, Ran } from './schedule.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const BATCH = 500
/** An upload that began in time may still be running long after its reservation ended. */
const KEEP_ENDED_RESERVATIONS_MS = 24 * HOUR_MS
const KEEP_ENDED_LEASES_MS = 24 * HOUR_MS
const DAY_MS = 24 * HOUR_MS

export interface JobParts extends UnusedParts {
  readonly clock: Clock
}

/** Everything that happens by itself, each once among all instances. `docs/tasks.md` has the same list with explanations. */
export function standingJobs(parts: JobParts): readonly Job[] {
  const { db, clock } = parts
  return [
    {
      name: 'usage',
      everyMs: MINUTE_MS,
      run: ({ signal }) => untilFewerThanABatch(signal, () => db.write(foldUsage, { limit: BATCH })),
    },
    {
      name: 'reservations',
      everyMs: HOUR_MS,
      run: ({ signal }) =>
        untilFewerThanABatch(signal, () =>
          db.write(sweepReservations, { before: clock.now() - KEEP_ENDED_RESERVATIONS_MS, limit: BATCH }),
        ),
    },
    {
      name: 'leases',
      everyMs: HOUR_MS,
      run: ({ signal }) =>
        untilFewerThanABatch(signal, () => db.write(sweepLeases, { keptMs: KEEP_ENDED_LEASES_MS, limit: BATCH })),
    },
    {
      name: 'tombstones',
      everyMs: DAY_MS,
      run: ({ signal }) => untilFewerThanABatch(signal, () => db.write(sweepTombstones, { limit: BATCH })),
    },
    { name: 'unused objects', everyMs: MINUTE_MS, run: ({ signal }) => deleteUnused(parts, signal) },
  ]
}

/** Forgets what administrators did more than `keepDays()` ago; 0 = never. */
export function auditJob({ db, clock }: Pick<JobParts, 'db' | 'clock'>, keepDays: () => number): Job {
  return {
    name: 'audit',
    everyMs: HOUR_MS,
    run: async ({ signal }) => {
      const days = keepDays()
      if (days === 0) return undefined
      const before = clock.now() - days * 24 * HOUR_MS
      return await untilFewerThanABatch(signal, () => db.write(forgetDeeds, { before, limit: BATCH }))
    },
  }
}

/** Batches, so that no transaction is long. */
async function untilFewerThanABatch(signal: AbortSignal, batch: () => Promise<number>): Promise<Ran> {
  let rows = 0
  for (let done = BATCH; done === BATCH && !signal.aborted;) rows += done = await batch()
  return { report: { rows } }
}
