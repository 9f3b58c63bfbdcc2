import { lastRuns } from '../../db/jobs.ts'
import { isLeased } from '../../db/leases.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { anyObject, boolean, integer, list, object, orNull, string } from '../json-schema.ts'

const job = object({
  name: string('What is done; docs/tasks.md explains each.'),
  every_ms: integer('Time between two runs.'),
  is_running: boolean('Whether some instance is at it.'),
  ended_ts: orNull(integer('When the last run ended, in ms since 1970; null: it never ran.')),
  duration_ms: orNull(integer('How long the last run took.')),
  error: string('What went wrong in the last run; empty: nothing.'),
  is_complete: boolean('False: the last run stopped before all was done, and another goes on soon.'),
  report: orNull(anyObject('What came of the last run: counts, by the job.')),
})

/** Not in MMR. */
export const listAll = described(
  {
    summary: 'Lists what is done again and again, with the last run of each, on whichever instance',
    chapter: 'Tasks',
    answer: list(job),
  },
  async ({ db, jobs }) => {
    const runs = new Map((await lastRuns(db.read)).map((run) => [run.job, run]))
    const rows = jobs.map(async ({ name, everyMs }) => {
      const last = runs.get(name)
      return {
        name,
        every_ms: everyMs,
        is_running: await isLeased(db.read, `job ${name}`),
        ended_ts: last?.endedAt ?? null,
        duration_ms: last?.durationMs ?? null,
        error: last?.error ?? '',
        is_complete: last?.againInMs == null,
        report: last?.report ?? null,
      }
    })
    return json(await Promise.all(rows))
  },
)
