import type { JsonObject } from './json.ts'
import { oneAtATime, type Queryable, unit } from './query.ts'
import type { AuditTable } from './schema.ts'

/** Who does something as an administrator, and from where. */
export interface Actor {
  /** A user id, `@sharedsecret`, or `cli:` and the name of an account of the machine. */
  readonly by: string
  /** The client's address; null on the command line. */
  readonly address: string | null
  /** As in the log; null on the command line. */
  readonly requestId: string | null
}

/** What is done. */
export interface What {
  /** The route's name in the table of routes, also where the command line does the same. */
  readonly action: string
  /** What it is about: `mxc://…`, a user id, a room id, a server name, the id of a datastore or the number of a task. */
  readonly subject: string
  /** Whatever else it was asked for with. No secrets. */
  readonly details?: JsonObject
}

/** A line of the audit log while it is written. */
export interface Deed extends Actor, What {
  /** In ms since 1970. */
  readonly at: number
}

/** A line of the audit log. */
export interface AuditLine extends Required<Deed> {
  readonly id: number
  /** Null: it goes on, or whoever did it has crashed. */
  readonly endedAt: number | null
  /** How many media (or tasks, …) it was; null: that is not counted. */
  readonly affected: number | null
  /** What went wrong; empty: nothing. */
  readonly error: string
}

/** How what a line tells of ended; `begun`: it has not, or whoever did it has crashed. */
export function outcomeOf({ endedAt, error }: Pick<AuditLine, 'endedAt' | 'error'>): 'begun' | 'done' | 'failed' {
  if (endedAt === null) return 'begun'
  return error === '' ? 'done' : 'failed'
}

/**
 * Writes a line in the transaction of what it tells of; nothing without a deed. To be the last thing in a transaction: until
 * it ends, other lines wait.
 */
export async function noteDeed(tx: Queryable, deed: Deed | undefined, affected: number | null): Promise<void> {
  if (deed) await insertDeed(tx, { ...rowOf(deed), ended_at: deed.at, affected })
}

/** Writes down that something begins that takes several transactions, and gives the line's number, for `endDeed`. */
export const beginDeed = unit(
  'beginDeed',
  async (tx, deed: Deed): Promise<number> => await insertDeed(tx, { ...rowOf(deed), ended_at: null, affected: null }),
)

export interface EndedDeed {
  readonly id: number
  readonly at: number
  readonly affected: number | null
  /** What went wrong; empty: nothing. */
  readonly error: string
}

/** Writes down how it ended. */
export const endDeed = unit('endDeed', async (tx, { id, at, affected, error }: EndedDeed): Promise<void> => {
  await tx.updateTable('audit').set({ ended_at: at, affected, error }).where('id', '=', id).execute()
})

/** Which lines are wanted; null: whichever. */
export interface AuditFilter {
  readonly by: string | null
  readonly action: string | null
  readonly subject: string | null
  /** Only what began at this time or later, and before `until`; in ms since 1970. */
  readonly since: number | null
  readonly until: number | null
}

/** Up to `limit` lines with numbers below `before` (null: the newest), the newest first. */
export async function auditLines(
  db: Queryable,
  { by, action, subject, since, until, before, limit }: AuditFilter & { before: number | null; limit: number },
): Promise<AuditLine[]> {
  const rows = await db
    .selectFrom('audit')
    .selectAll()
    .$if(before !== null, (query) => query.where('id', '<', before))
    .$if(by !== null, (query) => query.where('actor', '=', by))
    .$if(action !== null, (query) => query.where('action', '=', action))
    .$if(subject !== null, (query) => query.where('subject', '=', subject))
    .$if(since !== null, (query) => query.where('began_at', '>=', since))
    .$if(until !== null, (query) => query.where('began_at', '<', until))
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(lineOf)
}

/** Deletes up to `limit` lines of what began before a time (ms since 1970), never the last, and gives how many there were. */
export const forgetDeeds = unit(
  'forgetDeeds',
  async (tx, { before, limit }: { before: number; limit: number }): Promise<number> => {
    const last = tx.selectFrom('audit').select(({ fn }) => fn.max('id').as('id'))
    const old = tx
      .selectFrom('audit')
      .select('id')
      .where('began_at', '<', before)
      .where('id', '<', last)
      .orderBy('began_at')
      .limit(limit)
    const result = await tx.deleteFrom('audit').where('id', 'in', old).executeTakeFirst()
    return Number(result.numDeletedRows)
  },
)

async function insertDeed(tx: Queryable, row: Omit<AuditTable, 'id'>): Promise<number> {
  await oneAtATime(tx, 'audit')
  const { last } = await tx
    .selectFrom('audit')
    .select(({ fn }) => fn.max('id').as('last'))
    .executeTakeFirstOrThrow()
  const id = (last ?? 0) + 1
  await tx
    .insertInto('audit')
    .values({ ...row, id })
    .execute()
  return id
}

function rowOf({ at, by, address, requestId, action, subject, details = {} }: Deed) {
  const what = { action, subject, details: JSON.stringify(details), error: '' }
  return { began_at: at, actor: by, address, request_id: requestId, ...what }
}

function lineOf(row: AuditTable): AuditLine {
  const { id, address, action, subject, affected, error } = row
  return {
    id,
    at: row.began_at,
    endedAt: row.ended_at,
    by: row.actor,
    address,
    requestId: row.request_id,
    action,
    subject,
    details: JSON.parse(row.details) as JsonObject,
    affected,
    error,
  }
}
