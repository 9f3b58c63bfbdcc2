import { sql } from '#kysely'
import { compiled, databaseNow, lockRows, passingUnit, type Queryable, unit } from './query.ts'

/**
 * The right to do some work that only one instance at a time may do. It ends by itself when it is not renewed; `token` tells
 * one holder from the next, so that a stalled one, come back to life, can be found out. A power failure may take it away or
 * leave it, as if it had ended or had not: every write that relies on it asks again.
 */
export interface Lease {
  readonly name: string
  /** Any text that nobody else has. */
  readonly token: string
}

/** A lease to be had for `ms` from now. */
export interface LeaseFor extends Lease {
  readonly ms: number
}

/** Takes the lease for `ms`, if nobody holds it; gives whether. Whoever holds it already may take it again. */
export const takeLease = passingUnit('takeLease', async (tx, { name, token, ms }: LeaseFor): Promise<boolean> => {
  const taken = await insertLease(tx, { name, token, ms })
  return taken.length > 0
})

const insertLease = compiled((tx, { name, token, ms }: LeaseFor) =>
  tx
    .insertInto('leases')
    .values({ name, token, expires_at: sql<number>`${databaseNow(tx)} + ${ms}` })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({ token: sql<string>`excluded.token`, expires_at: sql<number>`excluded.expires_at` })
        .where((is) =>
          is.or([is('leases.expires_at', '<=', databaseNow(tx)), is('leases.token', '=', sql<string>`excluded.token`)]),
        ),
    )
    .returning('name'),
)

/**
 * Lengthens the lease to `ms` from now; gives whether it is still held. One whose time is over and that nobody took meanwhile
 * still is.
 */
export const renewLease = passingUnit('renewLease', async (tx, { name, token, ms }: LeaseFor): Promise<boolean> => {
  const renewed = await updateLease(tx, { name, token, ms })
  return renewed.length > 0
})

const updateLease = compiled((tx, { name, token, ms }: LeaseFor) =>
  tx
    .updateTable('leases')
    .set({ expires_at: sql<number>`${databaseNow(tx)} + ${ms}` })
    .where('name', '=', name)
    .where('token', '=', token)
    .returning('name'),
)

/** Gives the lease back, so that others need not wait for its end. One that is not held any more is left alone. */
export const releaseLease = passingUnit('releaseLease', async (tx, lease: Lease): Promise<void> => {
  await giveBack(tx, lease)
})

/** As `releaseLease`, inside the transaction that completes the work. */
export async function giveBack(tx: Queryable, { name, token }: Lease): Promise<void> {
  await deleteLease(tx, { name, token })
}

const deleteLease = compiled((tx, { name, token }: Lease) =>
  tx.deleteFrom('leases').where('name', '=', name).where('token', '=', token),
)

/**
 * Whether the lease is held, asked inside the transaction that relies on it: until that ends nobody else can take it. Every
 * write of leased work begins with this, so that a holder that was stalled for too long changes nothing.
 */
export async function holdsLease(tx: Queryable, { name, token }: Lease): Promise<boolean> {
  return (await lockLease(tx, { name, token })).length > 0
}

const lockLease = compiled((tx, { name, token }: Lease) =>
  lockRows(tx, tx.selectFrom('leases').select('name').where('name', '=', name).where('token', '=', token)),
)

/** Whether anybody holds the lease now. Only a hint: by the time of the answer it may be otherwise. */
export async function isLeased(db: Queryable, name: string): Promise<boolean> {
  return (await holderOf(db, name)) !== undefined
}

/** The token of whoever holds the lease now, as a hint; undefined when nobody does. */
export async function holderOf(db: Queryable, name: string): Promise<string | undefined> {
  const found = await db
    .selectFrom('leases')
    .select('token')
    .where('name', '=', name)
    .where('expires_at', '>', databaseNow(db))
    .executeTakeFirst()
  return found?.token
}

/** Deletes leases that ended more than `keptMs` ago, at most `limit`, and gives how many: holders that died leave theirs. */
export const sweepLeases = unit(
  'sweepLeases',
  async (tx, { keptMs, limit }: { keptMs: number; limit: number }): Promise<number> => {
    const before = sql<number>`${databaseNow(tx)} - ${keptMs}`
    const ended = await tx
      .selectFrom('leases')
      .select(['name', 'token'])
      .where('expires_at', '<', before)
      .limit(limit)
      .execute()
    for (const { name, token } of ended) {
      // Taken or renewed since it was read: then it stays.
      await tx
        .deleteFrom('leases')
        .where('name', '=', name)
        .where('token', '=', token)
        .where('expires_at', '<', before)
        .execute()
    }
    return ended.length
  },
)
