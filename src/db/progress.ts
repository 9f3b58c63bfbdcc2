import { compiled, type Queryable, unit } from './query.ts'

/** How far a chore has come that goes through everything, in its own words; undefined before its first step. */
export const progressOf = async (db: Queryable, chore: string): Promise<string | undefined> =>
  (await progressByChore(db, { chore }))[0]?.state

const progressByChore = compiled((db, { chore }: { chore: string }) =>
  db.selectFrom('care_progress').select('state').where('chore', '=', chore),
)

export interface Step {
  readonly chore: string
  /** The state that the step began with; undefined for the first one. */
  readonly from: string | undefined
  readonly to: string
  readonly now: number
}

/** Notes a step; gives false and changes nothing when another instance has gone on from the same state meanwhile. */
export const noteProgress = unit('noteProgress', async (tx, { chore, from, to, now }: Step): Promise<boolean> => {
  if (from === undefined) {
    const inserted = await tx
      .insertInto('care_progress')
      .values({ chore, state: to, updated_at: now })
      .onConflict((conflict) => conflict.column('chore').doNothing())
      .returning('chore')
      .execute()
    return inserted.length > 0
  }
  const { numUpdatedRows } = await tx
    .updateTable('care_progress')
    .set({ state: to, updated_at: now })
    .where('chore', '=', chore)
    .where('state', '=', from)
    .executeTakeFirst()
  return numUpdatedRows > 0n
})
