import { sql } from '#kysely'
import { compiled, type Queryable } from './query.ts'

/** What a user uploaded to a server and is still there, of one day or of all. */
export interface UploaderDay {
  readonly server: string
  /** Whole days since 1970 (UTC); `EVER`: all of them together. */
  readonly day: number
  readonly uploader: string
  readonly bytes: number
  readonly files: number
}

export const EVER = -1
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
  const rows = new Map<string, UploaderDay>()
  for (const change of changes) {
    for (const day of [change.day, EVER]) {
      const key = JSON.stringify([change.server, change.uploader, day])
      const { bytes, files } = rows.get(key) ?? { bytes: 0, files: 0 }
      rows.set(key, { ...change, day, bytes: bytes + change.bytes, files: files + change.files })
    }
  }
  for (const [, row] of [...rows].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    await addToDay(tx, row)
    // Nobody is listed with nothing.
    if (row.files < 0) await deleteEmpty(tx, row)
  }
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
