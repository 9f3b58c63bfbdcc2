import { sql } from '#kysely'
import { bytewise, compiled, given, lockFreeRows, type Queryable, unit } from './query.ts'
import type { MediaKind } from './schema.ts'
import { addManyToDays, addToDays, type UploaderDay, uploadsOf, uploadsSubject } from './uploader-days.ts'

/** Stored bytes and files of a subject (`user:…`, `server:…`, `thumbnails:SERVER`, `datastore:…`, `remote`). */
export interface Usage {
  readonly bytes: number
  readonly files: number
}

export interface UsageChange extends Usage {
  readonly subject: string
  /** Makes the change's row its own: anything that does not come twice for one subject. */
  readonly changeId: string
}

/** The subject that stands for all media of other servers. Each name counts, also where several share their content. */
export const REMOTE = 'remote'

/** Records differences of usage, in the transaction of what caused them. */
export async function countUsage(tx: Queryable, changes: readonly UsageChange[]): Promise<void> {
  for (const change of changes) await insertChange(tx, change)
}

const insertChange = compiled((tx, change: UsageChange) =>
  tx.insertInto('usage_changes').values({
    subject: change.subject,
    change_id: change.changeId,
    bytes: change.bytes,
    files: change.files,
  }),
)

interface CountedName {
  readonly origin: string
  readonly kind: MediaKind
  readonly uploader: string | null
  /** In ms since 1970. */
  readonly createdAt: number
}

/** Records what a name added to, or takes from, the usage of its server, its uploader, and of all other servers together. */
export function countName(tx: Queryable, name: CountedName, change: Omit<UsageChange, 'subject'>): Promise<void> {
  return countUsage(tx, usageChangesOf(name, change))
}

/** What that is. */
export const usageChangesOf = (name: CountedName, change: Omit<UsageChange, 'subject'>): readonly UsageChange[] => [
  { ...change, subject: `server:${name.origin}` },
  ...(name.uploader === null
    ? []
    : [
        { ...change, subject: `user:${name.uploader}` },
        { ...change, subject: uploadsSubject(name.origin, name.createdAt, name.uploader) },
      ]),
  // Two servers may have the same id.
  ...(name.kind === 'remote' ? [{ ...change, subject: REMOTE, changeId: `${name.origin}/${change.changeId}` }] : []),
]

/** What a subject uses now: its total and whatever was not folded into it yet. */
export async function usageOf(db: Queryable, subject: string): Promise<Usage> {
  const rows = await usageRows(db, { subject })
  return {
    bytes: rows.reduce((sum, row) => sum + row.bytes, 0),
    files: rows.reduce((sum, row) => sum + row.files, 0),
  }
}

const usageRows = compiled((db, { subject }: { subject: string }) =>
  db
    .selectFrom('usage_totals')
    .select(['bytes', 'files'])
    .where('subject', '=', subject)
    .unionAll(db.selectFrom('usage_changes').select(['bytes', 'files']).where('subject', '=', subject)),
)

/**
 * Folds up to `limit` differences into the totals and gives how many there were. Two instances that fold at once take
 * different rows: whoever deletes a row adds it.
 */
export const foldUsage = unit('foldUsage', async (tx, { limit }: { limit: number }): Promise<number> => {
  const some = tx.selectFrom('usage_changes').select(['subject', 'change_id']).limit(limit)
  const rows = await lockFreeRows(tx, some).execute()
  const sums = new Map<string, { bytes: number; files: number }>()
  let folded = 0
  for (const row of rows) {
    const taken = await tx
      .deleteFrom('usage_changes')
      .where('subject', '=', row.subject)
      .where('change_id', '=', row.change_id)
      .returning(['bytes', 'files'])
      .executeTakeFirst()
    if (!taken) continue
    folded++
    const sum = sums.get(row.subject) ?? { bytes: 0, files: 0 }
    sums.set(row.subject, { bytes: sum.bytes + taken.bytes, files: sum.files + taken.files })
  }
  const days: UploaderDay[] = []
  // In one order everywhere, so that two folding instances cannot lock each other out.
  for (const [subject, sum] of [...sums].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const uploads = uploadsOf(subject)
    if (uploads) days.push({ ...uploads, ...sum })
    else await addToTotal(tx, subject, sum)
  }
  await addToDays(tx, days)
  return folded
})

async function addToTotal(tx: Queryable, subject: string, sum: Usage): Promise<void> {
  await tx
    .insertInto('usage_totals')
    .values({ subject, bytes: sum.bytes, files: sum.files })
    .onConflict((conflict) =>
      conflict.column('subject').doUpdateSet({
        bytes: sql<number>`usage_totals.bytes + excluded.bytes`,
        files: sql<number>`usage_totals.files + excluded.files`,
      }),
    )
    .execute()
}

/**
 * Adds differences to the totals at once, without a row for each: for hundreds of names that come in one transaction, and whose
 * differences would keep the folding busy for an hour.
 */
export async function addUsage(tx: Queryable, changes: readonly Omit<UsageChange, 'changeId'>[]): Promise<void> {
  const sums = new Map<string, { bytes: number; files: number }>()
  for (const { subject, bytes, files } of changes) {
    const sum = sums.get(subject) ?? { bytes: 0, files: 0 }
    sums.set(subject, { bytes: sum.bytes + bytes, files: sum.files + files })
  }
  const days: UploaderDay[] = []
  const totals: { subject: string; bytes: number; files: number }[] = []
  for (const [subject, sum] of sums) {
    const uploads = uploadsOf(subject)
    if (uploads) days.push({ ...uploads, ...sum })
    else totals.push({ subject, ...sum })
  }
  await addManyToTotals(tx, totals)
  await addManyToDays(tx, days)
}

async function addManyToTotals(tx: Queryable, totals: readonly (Usage & { subject: string })[]): Promise<void> {
  if (totals.length === 0) return
  const rows = given(tx, totals, { subject: 'text', bytes: 'bigint', files: 'bigint' }).as('given')
  const select = tx
    .selectFrom(rows)
    .select(['subject', 'bytes', 'files'])
    .where(sql<boolean>`true`)
  await tx
    .insertInto('usage_totals')
    .columns(['subject', 'bytes', 'files'])
    // In the order in which folding adds.
    .expression(select.orderBy(sql`subject ${bytewise(tx)}`))
    .onConflict((conflict) =>
      conflict.column('subject').doUpdateSet({
        bytes: sql<number>`usage_totals.bytes + excluded.bytes`,
        files: sql<number>`usage_totals.files + excluded.files`,
      }),
    )
    .execute()
}
