import { sql } from '#kysely'
import { giveBack, holdsLease, type Lease } from './leases.ts'
import { databaseNow, type Queryable, unit } from './query.ts'
import type { JsonObject } from './json.ts'

/** The last run of a scheduled job, on whichever instance it was. */
export interface LastRun {
  readonly job: string
  /** When it ended, by the database's clock, in ms since 1970. */
  readonly endedAt: number
  /** How long ago that is, in ms. */
  readonly agoMs: number
  /** How long ago one last ended well, in ms; null: none has. */
  readonly succeededAgoMs: number | null
  /** Null: a version before this was noted ran it. */
  readonly durationMs: number | null
  /** What went wrong; empty: nothing. */
  readonly error: string
  /** What came of it, if it says. */
  readonly report: JsonObject | undefined
  /** Set where it stopped before all was done: when it goes on, in ms after its end. */
  readonly againInMs: number | null
}

/** When the job last ended and how; undefined when it never ran. */
export async function lastRun(db: Queryable, job: string): Promise<LastRun | undefined> {
  const row = await runs(db).where('name', '=', job).executeTakeFirst()
  return row && runOf(row)
}

/** The last run of each job that ever ran. */
export async function lastRuns(db: Queryable): Promise<LastRun[]> {
  return (await runs(db).orderBy('name').execute()).map(runOf)
}

const runs = (db: Queryable) =>
  db
    .selectFrom('jobs')
    .select([
      'name as job',
      'ended_at as endedAt',
      sql<number>`${databaseNow(db)} - ended_at`.as('agoMs'),
      sql<number | null>`${databaseNow(db)} - succeeded_at`.as('succeededAgoMs'),
      'duration_ms as durationMs',
      'error',
      'report',
      'again_in_ms as againInMs',
    ])

function runOf({ report, ...row }: Omit<LastRun, 'report'> & { readonly report: string | null }): LastRun {
  return { ...row, report: report === null ? undefined : (JSON.parse(report) as JsonObject) }
}

/** How a run ended. */
export interface EndedRun {
  readonly lease: Lease
  readonly job: string
  readonly error: string
  readonly durationMs: number
  readonly report: JsonObject | null
  readonly againInMs: number | null
}

/** Notes that a job ended now, and gives its lease back; nothing when the lease has gone to another instance. */
export const noteRun = unit(
  'noteRun',
  async (tx, { lease, job, error, durationMs, report, againInMs }: EndedRun): Promise<void> => {
    if (!(await holdsLease(tx, lease))) return
    const now = databaseNow(tx)
    const ended = {
      ended_at: now,
      error,
      ...(error === '' ? { succeeded_at: now } : {}),
      duration_ms: durationMs,
      report: report && JSON.stringify(report),
      again_in_ms: againInMs,
    }
    await tx
      .insertInto('jobs')
      .values({ name: job, ...ended })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(ended))
      .execute()
    await giveBack(tx, lease)
  },
)
