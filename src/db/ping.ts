import { sql } from '#kysely'
import { unit } from './query.ts'

/** Changes nothing: for finding out whether transactions are begun at the moment. */
export const ping = unit('ping', async (tx) => {
  await sql`select 1`.execute(tx)
})

/** Writes a row and takes it away again: for finding out whether there is room, and whether the disk takes it. */
export const tryWriting = unit('tryWriting', async (tx) => {
  const row = { subject: 'health', change_id: 'try' }
  await tx
    .insertInto('usage_changes')
    .values({ ...row, bytes: 0, files: 0 })
    .execute()
  await tx
    .deleteFrom('usage_changes')
    .where('subject', '=', row.subject)
    .where('change_id', '=', row.change_id)
    .execute()
})
