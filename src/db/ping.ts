import { sql } from 'kysely'
import { unit } from './query.ts'

/** Changes nothing: for finding out whether writes are taken at the moment. */
export const ping = unit('ping', async (tx) => {
  await sql`select 1`.execute(tx)
})
