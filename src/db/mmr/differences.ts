import { sql } from '#kysely'
import { deleteNames } from '../deletion.ts'
import { noteQuarantineChanges } from '../quarantine-changes.ts'
import { given, type Queryable } from '../query.ts'
import { MMR_FLAGS, type TakenMedia } from './taken.ts'

const NAME_COLUMNS = { origin: 'text', media_id: 'text', accessed_at: 'bigint' } as const

/**
 * What MMR changed since its rows were last seen: quarantined, frozen, pinned, other content, read. What was changed here stays where MMR
 * changed nothing. Gives the contents of what changed.
 */
export async function applyDifferences(tx: Queryable, media: readonly TakenMedia[], now: number): Promise<string[]> {
  const known = await knownOf(tx, media)
  if (known.size === 0) return []
  const seen = media.flatMap((one) => {
    const before = known.get(keyOf(one))
    return before ? [{ one, before }] : []
  })
  await noteReads(
    tx,
    seen.map(({ one }) => one),
  )
  const changed: string[] = []
  for (const { one, before } of seen) {
    if (before.sha256 === one.sha256 && before.flags === one.flags) continue
    changed.push(before.sha256, one.sha256)
    if (before.sha256 === one.sha256) await applyFlags(tx, one, before.flags, now)
    else await forget(tx, one, now)
  }
  return [...new Set(changed)]
}

const keyOf = ({ origin, mediaId }: { origin: string; mediaId: string }) => `${origin}/${mediaId}`

async function knownOf(tx: Queryable, media: readonly TakenMedia[]) {
  if (media.length === 0) return new Map<string, { sha256: string; flags: number }>()
  const rows = await tx
    .selectFrom(given(tx, media.map(nameOf), NAME_COLUMNS).as('given'))
    .innerJoin('mmr_media', (join) =>
      join.onRef('mmr_media.origin', '=', 'given.origin').onRef('mmr_media.media_id', '=', 'given.media_id'),
    )
    .select(['mmr_media.origin', 'mmr_media.media_id as mediaId', 'mmr_media.sha256', 'mmr_media.flags'])
    .execute()
  return new Map(rows.map((row) => [keyOf(row), row]))
}

const nameOf = ({ origin, mediaId: media_id, accessedAt: accessed_at }: TakenMedia) => ({
  origin,
  media_id,
  accessed_at,
})

async function noteReads(tx: Queryable, media: readonly TakenMedia[]): Promise<void> {
  await tx
    .updateTable('media')
    .from(given(tx, media.map(nameOf), NAME_COLUMNS).as('given'))
    .set({ accessed_at: sql<number>`given.accessed_at` })
    .whereRef('media.origin', '=', 'given.origin')
    .whereRef('media.media_id', '=', 'given.media_id')
    .where(sql<boolean>`coalesce(media.accessed_at, 0) < given.accessed_at`)
    .execute()
}

async function applyFlags(tx: Queryable, media: TakenMedia, before: number, now: number): Promise<void> {
  const { origin, mediaId, flags } = media
  const became = (flag: number) => (flags & flag) !== 0 && (before & flag) === 0
  const ended = (flag: number) => (flags & flag) === 0 && (before & flag) !== 0
  const update = (set: object) =>
    tx.updateTable('media').set(set).where('origin', '=', origin).where('media_id', '=', mediaId)
  if (became(MMR_FLAGS.restricted)) {
    await update({ authenticated_at: now }).where('authenticated_at', 'is', null).execute()
  }
  if (became(MMR_FLAGS.pinned)) await update({ protected_at: now }).where('protected_at', 'is', null).execute()
  if (ended(MMR_FLAGS.pinned)) await update({ protected_at: null }).where('protected_by', 'is', null).execute()
  if (became(MMR_FLAGS.quarantined)) {
    const quarantining = update({ quarantined_at: now }).where('quarantined_at', 'is', null)
    await noteQuarantineChanges(tx, await quarantining.returning(['origin', 'media_id as mediaId']).execute(), true)
  }
  if (ended(MMR_FLAGS.quarantined)) {
    // What somebody decided here counts.
    const releasing = update({ quarantined_at: null }).where('quarantined_by', 'is', null)
    const released = releasing.where('quarantined_at', 'is not', null).returning(['origin', 'media_id as mediaId'])
    await noteQuarantineChanges(tx, await released.execute(), false)
  }
  await tx
    .updateTable('mmr_media')
    .set({ flags })
    .where('origin', '=', origin)
    .where('media_id', '=', mediaId)
    .execute()
}

/** MMR has other content under the name: it comes as one that was never seen. */
async function forget(tx: Queryable, { origin, mediaId }: TakenMedia, now: number): Promise<void> {
  await deleteNames.run(tx, { names: [{ origin, mediaId }], rules: { evenProtected: true }, at: now })
  await tx
    .deleteFrom('deleted_media')
    .where('origin', '=', origin)
    .where('media_id', '=', mediaId)
    .where('quarantined_at', 'is', null)
    .execute()
  await tx.deleteFrom('mmr_media').where('origin', '=', origin).where('media_id', '=', mediaId).execute()
}
