import { type Deed, noteDeed } from './audit.ts'
import { compiled, oneAtATime, type Queryable, unit } from './query.ts'

/** Media that administrators are asked to look at. */
export interface Report {
  readonly id: string
  readonly origin: string
  readonly mediaId: string
  readonly sha256: string
  /** A gate's name, or `administrator`. */
  readonly source: string
  readonly reason: string
  /** Whoever reported; null: a gate. */
  readonly reporter: string | null
  readonly createdAt: number
  readonly closedAt: number | null
  readonly outcome: ReportOutcome | null
  readonly closedBy: string | null
}

export type ReportOutcome = 'dismissed' | 'quarantined'

export type NewReport = Omit<Report, 'closedAt' | 'outcome' | 'closedBy'>

const columns = [
  'id',
  'origin',
  'media_id as mediaId',
  'sha256',
  'source',
  'reason',
  'reporter',
  'created_at as createdAt',
  'closed_at as closedAt',
  'outcome',
  'closed_by as closedBy',
] as const

/** Writes reports down; one that is open already for the same media by the same source is not repeated. Gives how many are new. */
export const addReports = unit(
  'addReports',
  async (
    tx,
    { reports, audit }: { readonly reports: readonly NewReport[]; readonly audit?: Deed | undefined },
  ): Promise<number> => {
    const added = await insertReports(tx, reports)
    await noteDeed(tx, audit, added)
    return added
  },
)

/** The same, inside another transaction. */
export async function insertReports(tx: Queryable, reports: readonly NewReport[]): Promise<number> {
  let added = 0
  for (const report of reports) {
    await oneAtATime(tx, `report ${report.origin}/${report.mediaId}`)
    if ((await sameOpen(tx, report)).length > 0) continue
    const { id, origin, sha256, source, reason, reporter } = report
    await tx
      .insertInto('reports')
      .values({ id, origin, media_id: report.mediaId, sha256, source, reason, reporter, created_at: report.createdAt })
      .execute()
    added++
  }
  return added
}

const sameOpen = compiled((tx, report: NewReport) =>
  tx
    .selectFrom('reports')
    .select('id')
    .where('sha256', '=', report.sha256)
    .where('origin', '=', report.origin)
    .where('media_id', '=', report.mediaId)
    .where('source', '=', report.source)
    .where('closed_at', 'is', null)
    .limit(1),
)

export async function findReport(db: Queryable, id: string): Promise<Report | undefined> {
  return (await db.selectFrom('reports').select(columns).where('id', '=', id).executeTakeFirst()) as Report | undefined
}

/** Where a page of reports begins: behind this one. */
export interface ReportPlace {
  readonly createdAt: number
  readonly id: string
}

/** A page of reports, open ones or closed ones, oldest first. */
export async function listReports(
  db: Queryable,
  page: { readonly state: 'open' | 'closed'; readonly after: ReportPlace | null; readonly limit: number },
): Promise<Report[]> {
  const { state, after, limit } = page
  const rows = await db
    .selectFrom('reports')
    .select(columns)
    .where('closed_at', state === 'open' ? 'is' : 'is not', null)
    .$if(after !== null, (query) =>
      query.where((is) => is(is.refTuple('created_at', 'id'), '>', is.tuple(after?.createdAt ?? 0, after?.id ?? ''))),
    )
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows as Report[]
}

/** How many reports are open, by what made them. */
export async function countOpenReports(db: Queryable): Promise<readonly { source: string; open: number }[]> {
  const rows = await db
    .selectFrom('reports')
    .select(({ fn }) => ['source', fn.countAll<number>().as('open')])
    .where('closed_at', 'is', null)
    .groupBy('source')
    .orderBy('source')
    .execute()
  return rows.map(({ source, open }) => ({ source, open }))
}

export interface Closing {
  readonly audit?: Deed | undefined
  readonly id: string
  readonly outcome: ReportOutcome
  readonly at: number
  readonly by: string | null
}

/** Closes a report; with `quarantined`, all open ones of the same content. Gives how many were open. */
export const closeReports = unit(
  'closeReports',
  async (tx, { id, outcome, at, by, audit }: Closing): Promise<number> => {
    const all = outcome === 'quarantined'
    const result = await tx
      .updateTable('reports')
      .set({ closed_at: at, outcome, closed_by: by })
      .where('closed_at', 'is', null)
      .$if(!all, (query) => query.where('id', '=', id))
      .$if(all, (query) =>
        query.where('sha256', '=', (inner) =>
          inner.selectFrom('reports as closing').select('closing.sha256').where('closing.id', '=', id),
        ),
      )
      .executeTakeFirst()
    const closed = Number(result.numUpdatedRows)
    await noteDeed(tx, audit, closed)
    return closed
  },
)
