import { compiled, oneAtATime, type Queryable } from './query.ts'

export interface MediaName {
  readonly origin: string
  readonly mediaId: string
}

/** One step of the stream: a name was quarantined, or released. */
export interface QuarantineChange extends MediaName {
  /** Its place in the stream. */
  readonly id: number
  readonly quarantined: boolean
}

/** The place before the first change, as with Synapse. */
const START_OF_CHANGES = 1
/** Rows a statement, with four values each: far from what any database takes. */
const AT_ONCE = 1000

/**
 * Notes in the stream what a transaction quarantines or releases. Comes last in it: from here to its commit no other one can
 * note anything, so that places in the stream are in the order of the commits, and a reader never passes over one that comes later.
 */
export async function noteQuarantineChanges(
  tx: Queryable,
  names: readonly MediaName[],
  quarantined: boolean,
): Promise<void> {
  if (names.length === 0) return
  await oneAtATime(tx, 'quarantine changes')
  const before = await lastQuarantineChange(tx)
  const rows = names.map(({ origin, mediaId }, index) => ({
    id: before + 1 + index,
    origin,
    media_id: mediaId,
    quarantined: quarantined ? 1 : 0,
  }))
  for (let begin = 0; begin < rows.length; begin += AT_ONCE) {
    await tx
      .insertInto('quarantine_changes')
      .values(rows.slice(begin, begin + AT_ONCE))
      .execute()
  }
}

/** The place of the last change, or `START_OF_CHANGES`. */
export async function lastQuarantineChange(db: Queryable): Promise<number> {
  const [last] = await lastChange(db, {})
  return last?.id ?? START_OF_CHANGES
}

const lastChange = compiled((db) => db.selectFrom('quarantine_changes').select('id').orderBy('id', 'desc').limit(1))

/** Up to `limit` changes behind the place `after`, in their order. */
export async function quarantineChanges(
  db: Queryable,
  page: { readonly after: number; readonly limit: number },
): Promise<QuarantineChange[]> {
  const rows = await changesAfter(db, page)
  return rows.map((row) => ({ ...row, quarantined: row.quarantined === 1 }))
}

const changesAfter = compiled((db, page: { after: number; limit: number }) =>
  db
    .selectFrom('quarantine_changes')
    .select(['id', 'origin', 'media_id as mediaId', 'quarantined'])
    .where('id', '>', page.after)
    .orderBy('id')
    .limit(page.limit),
)
