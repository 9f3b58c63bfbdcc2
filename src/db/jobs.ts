import { sql } from '#kysely'
import { giveBack, holdsLease, type Lease } from './leases.ts'
import { databaseNow, type Queryable, unit } from './query.ts'

/** The last run of a scheduled job, on whichever instance it was. */
export interface LastRun {
  /** How long ago it ended, in ms; of one that has not run yet, see `spreadFirstRun`. */
  readonly agoMs: number
  /** How long ago one last ended well, in ms; null: none has. */
  readonly succeededAgoMs: number | null
  /** What went wrong; empty: nothing. */
  readonly error: string
}

/** When the job last ended and how; undefined when it never ran. */
export async function lastRun(db: Queryable, job: string): Promise<LastRun | undefined> {
  return await db
    .selectFrom('jobs')
    .select([
      sql<number>`${databaseNow(db)} - ended_at`.as('agoMs'),
      sql<number | null>`${databaseNow(db)} - succeeded_at`.as('succeededAgoMs'),
      'error',
    ])
    .where('name', '=', job)
    .executeTakeFirst()
}

/**
 * Has a job that has never run wait for its first run for `inMs` more, as if it had run before: jobs that an installation begins
 * with at the same moment then come at different times for good. Nothing, if it is known.
 */
export const spreadFirstRun = unit(
  'spreadFirstRun',
  async (tx, { job, everyMs, inMs }: { job: string; everyMs: number; inMs: number }): Promise<void> => {
    await tx
      .insertInto('jobs')
      .values({ name: job, ended_at: sql<number>`${databaseNow(tx)} - ${everyMs} + ${inMs}`, error: '' })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .execute()
  },
)

/** Notes that a job ended now, and gives its lease back; nothing when the lease has gone to another instance. */
export const noteRun = unit(
  'noteRun',
  async (tx, { lease, job, error }: { lease: Lease; job: string; error: string }): Promise<void> => {
    if (!(await holdsLease(tx, lease))) return
    const now = databaseNow(tx)
    const ended = { ended_at: now, error, ...(error === '' ? { succeeded_at: now } : {}) }
    await tx
      .insertInto('jobs')
      .values({ name: job, ...ended })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(ended))
      .execute()
    await giveBack(tx, lease)
  },
)
