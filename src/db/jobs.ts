import { sql } from '#kysely'
import { giveBack, holdsLease, type Lease } from './leases.ts'
import { databaseNow, type Queryable, unit } from './query.ts'

/** The last run of a scheduled job, on whichever instance it was. */
export interface LastRun {
  /** How long ago it ended, in ms. */
  readonly agoMs: number
  /** What went wrong; empty: nothing. */
  readonly error: string
}

/** When the job last ended and how; undefined when it never ran. */
export async function lastRun(db: Queryable, job: string): Promise<LastRun | undefined> {
  return await db
    .selectFrom('jobs')
    .select([sql<number>`${databaseNow(db)} - ended_at`.as('agoMs'), 'error'])
    .where('name', '=', job)
    .executeTakeFirst()
}

/** Notes that a job ended now, and gives its lease back; nothing when the lease has gone to another instance. */
export const noteRun = unit(
  'noteRun',
  async (tx, { lease, job, error }: { lease: Lease; job: string; error: string }): Promise<void> => {
    if (!(await holdsLease(tx, lease))) return
    const ended = { ended_at: databaseNow(tx), error }
    await tx
      .insertInto('jobs')
      .values({ name: job, ...ended })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(ended))
      .execute()
    await giveBack(tx, lease)
  },
)
