import { holdsLease, type Lease } from '../leases.ts'
import { compiled, lockRows, type Queryable, unit } from '../query.ts'
import type { MmrTakeOverTable } from '../schema.ts'

/** The source that is MMR's tables in our own database. */
export const HERE = 'here'

/** The name of the task that goes through them, and of the lease under which anybody does. */
export const MMR_TAKE_OVER = 'mmr_take_over'

const ID = 'mmr'

/** What is being taken over, and how far that is. */
export interface TakeOver {
  /** `HERE`, or which other database. */
  readonly source: string
  readonly schema: string
  /** `copied`: all of MMR's records are here. `finishing`: what is known of MMR is being forgotten. */
  readonly state: MmrTakeOverTable['state']
  /** In the words of whoever goes through the tables; empty: at the beginning. */
  readonly progress: string
  readonly beganAt: number
  readonly copiedAt: number | null
}

/** The take-over, if there is or was one. */
export const findTakeOver = async (db: Queryable): Promise<TakeOver | undefined> => (await takeOverRow(db, {}))[0]

const takeOverRow = compiled((db, _none: object) =>
  db
    .selectFrom('mmr_take_over')
    .select(['source', 'tables_in as schema', 'state', 'progress', 'began_at as beganAt', 'copied_at as copiedAt'])
    .where('id', '=', ID),
)

/**
 * Begins a take-over, or goes on with the one there is: whatever came to its end before begins a new pass, for the differences. One that is
 * finished begins anew only where `again` asks for it. Gives what stands.
 */
export const beginTakeOver = unit(
  'beginTakeOver',
  async (
    tx,
    { source, schema, now, again }: { source: string; schema: string; now: number; again: boolean },
  ): Promise<TakeOver> => {
    const columns = {
      source,
      tables_in: schema,
      state: 'copying',
      progress: '',
      began_at: now,
      copied_at: null,
    } as const
    const inserted = await tx
      .insertInto('mmr_take_over')
      .values({ id: ID, ...columns })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .returning('id')
      .execute()
    const rows = tx.selectFrom('mmr_take_over').select('state').where('id', '=', ID)
    const { state } = await lockRows(tx, rows).executeTakeFirstOrThrow()
    if (inserted.length === 0 && state === 'finished' && again) {
      await tx.updateTable('mmr_take_over').set(columns).where('id', '=', ID).execute()
    }
    if (state === 'copied') await setTakeOver(tx, { state: 'copying', progress: '' })
    const stands = await findTakeOver(tx)
    if (!stands) throw new Error('the take-over that was just begun is not there')
    return stands
  },
)

/** A step of whoever goes through MMR's tables under `lease`. */
export interface TakeOverStep {
  readonly lease: Lease
  /** How far it is with this step done. */
  readonly progress: string
}

/** Notes a step in the transaction that does it; false: the lease is another's by now, and nothing may be changed. */
export async function noteStep(tx: Queryable, step: TakeOverStep | undefined): Promise<boolean> {
  if (!step) return true
  if (!(await holdsLease(tx, step.lease))) return false
  await setTakeOver(tx, { progress: step.progress })
  return true
}

/** Notes that all of MMR's records are here. */
export const endPass = unit(
  'endMmrPass',
  async (tx, { lease, now }: { readonly lease: Lease; readonly now: number }): Promise<boolean> => {
    if (!(await noteStep(tx, { lease, progress: '' }))) return false
    await setTakeOver(tx, { state: 'copied', copied_at: now })
    return true
  },
)

/** Notes that nothing is known of MMR any more, or (`finishing`) that this is under way. */
export const setFinished = unit(
  'setMmrFinished',
  async (tx, { state }: { readonly state: 'finishing' | 'finished' }): Promise<void> => {
    await setTakeOver(tx, { state, progress: '' })
  },
)

async function setTakeOver(tx: Queryable, changes: Partial<MmrTakeOverTable>): Promise<void> {
  await tx.updateTable('mmr_take_over').set(changes).where('id', '=', ID).execute()
}

/** Whether records of MMR may not be here yet, by the database's own word. */
export async function isCopying(db: Queryable): Promise<boolean> {
  return (await findTakeOver(db))?.state === 'copying'
}
