import { sql } from '#kysely'
import { bytewise, compiled, given, type Queryable } from './query.ts'

/** What a user uploaded to a server and is still there, of one day or of all. */
export interface UploaderDay {
  readonly server: string
  /** Whole days since 1970 (UTC); `EVER`: all of them together. */
  readonly day: number
  readonly uploader: string
  readonly bytes: number
  readonly files: number
}

const EVER = -1
export const DAY_MS = 24 * 3600 * 1000

/** The subject of differences that go to `uploader_days` instead of the totals. User ids may have spaces, the others have none. */
export const uploadsSubject = (server: string, createdAt: number, uploader: string): string =>
  `uploads ${server} ${Math.floor(createdAt / DAY_MS)} ${uploader}`

/** What such a subject stands for; undefined for every other. */
export function uploadsOf(subject: string): Pick<UploaderDay, 'server' | 'day' | 'uploader'> | undefined {
  const [, server, day, uploader] = /^uploads (\S+) (\d+) (.+)$/s.exec(subject) ?? []
  return server && day && uploader ? { server, day: Number(day), uploader } : undefined
}

/** Adds differences to their days and to the sums of all days, in one order everywhere: two that add cannot lock each other out. */
export async function addToDays(tx: Queryable, changes: readonly UploaderDay[]): Promise<void> {
  for (const [, row] of [...sumsOf(changes)].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    await addToDay(tx, row)
    // Nobody is listed with nothing.
    if (row.files < 0) await deleteEmpty(tx, row)
  }
}

/** As `addToDays`, in one statement: for hundreds that only add. */
export async function addManyToDays(tx: Queryable, changes: readonly UploaderDay[]): Promise<void> {
  if (changes.length === 0) return
  const rows = given(tx, [...sumsOf(changes).values()], {
    server: 'text',
    day: 'bigint',
    uploader: 'text',
    bytes: 'bigint',
    files: 'bigint',
  }).as('given')
  const names = ['server', 'day', 'uploader', 'bytes', 'files'] as const
  await tx
    .insertInto('uploader_days')
    .columns([...names])
    .expression(
      tx
        .selectFrom(rows)
        .select([...names])
        .where(sql<boolean>`true`)
        .orderBy(sql`server ${bytewise(tx)}`)
        .orderBy(sql`uploader ${bytewise(tx)}`)
        .orderBy('day'),
    )
    .onConflict((conflict) =>
      conflict.columns(['server', 'day', 'uploader']).doUpdateSet({
        bytes: sql<number>`uploader_days.bytes + excluded.bytes`,
        files: sql<number>`uploader_days.files + excluded.files`,
      }),
    )
    .execute()
}

/** What is to be added to each row: the days, and all days together. */
function sumsOf(changes: readonly UploaderDay[]): Map<string, UploaderDay> {
  const rows = new Map<string, UploaderDay>()
  for (const change of changes) {
    for (const day of [change.day, EVER]) {
      const key = JSON.stringify([change.server, change.uploader, day])
      const { bytes, files } = rows.get(key) ?? { bytes: 0, files: 0 }
      rows.set(key, { ...change, day, bytes: bytes + change.bytes, files: files + change.files })
    }
  }
  return rows
}

const addToDay = compiled((tx, row: UploaderDay) =>
  tx
    .insertInto('uploader_days')
    .values({ server: row.server, day: row.day, uploader: row.uploader, bytes: row.bytes, files: row.files })
    .onConflict((conflict) =>
      conflict.columns(['server', 'day', 'uploader']).doUpdateSet({
        bytes: sql<number>`uploader_days.bytes + excluded.bytes`,
        files: sql<number>`uploader_days.files + excluded.files`,
      }),
    ),
)

const deleteEmpty = compiled((tx, row: UploaderDay) =>
  tx
    .deleteFrom('uploader_days')
    .where('server', '=', row.server)
    .where('day', '=', row.day)
    .where('uploader', '=', row.uploader)
    .where('files', '=', 0)
    .where('bytes', '=', 0),
)
