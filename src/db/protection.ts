import { type Deed, noteDeed } from './audit.ts'
import { compiled, type Queryable, unit } from './query.ts'

/** What keeps a name from quarantine, purges and expiry: MMR's `pinned`, Synapse's `protect`. */
export interface Protection {
  /** Since when, in ms since 1970; null: it is not. */
  readonly protectedAt: number | null
  readonly protectedBy: string | null
}

/** Undefined: there is no such media. */
export const findProtection = async (
  db: Queryable,
  { origin, mediaId }: { readonly origin: string; readonly mediaId: string },
): Promise<Protection | undefined> => (await protectionOf(db, { origin, mediaId }))[0]

const protectionOf = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('media')
    .select(['protected_at as protectedAt', 'protected_by as protectedBy'])
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId),
)

export interface ProtectionChange {
  readonly origin: string
  readonly mediaId: string
  /** Since when it is protected, in ms since 1970; null: not any more. */
  readonly at: number | null
  readonly by: string | null
}

/**
 * Protects a name, or ends that (`at` null), and gives whether there is such media. What is quarantined stays so; who protected
 * it first stays noted.
 */
export const setProtection = unit(
  'setProtection',
  async (
    tx,
    { origin, mediaId, at, by, audit }: ProtectionChange & { readonly audit?: Deed | undefined },
  ): Promise<boolean> => {
    const before = await findProtection(tx, { origin, mediaId })
    if (!before) return false
    if ((before.protectedAt !== null) === (at !== null)) return true
    const result = await tx
      .updateTable('media')
      .set({ protected_at: at, protected_by: at === null ? null : by })
      .where('origin', '=', origin)
      .where('media_id', '=', mediaId)
      .executeTakeFirst()
    await noteDeed(tx, audit, Number(result.numUpdatedRows))
    return Number(result.numUpdatedRows) > 0
  },
)
