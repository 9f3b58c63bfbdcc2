import { sql } from '#kysely'
import { noteQuarantineChanges } from '../quarantine-changes.ts'
import { given, type Queryable, unit } from '../query.ts'
import { addUsage, usageChangesOf } from '../usage.ts'
import { applyDifferences } from './differences.ts'
import { addObjects, addPlaces, lockSizes, MEDIA_COLUMNS, type PlacedObject, quarantinedOf } from './objects.ts'
import { noteStep, type TakeOverStep } from './state.ts'
import { MMR_FLAGS, type TakenMedia } from './taken.ts'

export interface TakenOver {
  /** Names that came here. */
  readonly added: number
  /** Contents of which something changed that was here before: instances have to be told. */
  readonly changed: readonly string[]
}

/**
 * Brings names here that were never seen before, and of the others what MMR changed since. Names that were brought here and are gone stay
 * gone; names that we have of our own stay as they are. The places of `kept` are only kept. Undefined: the lease is lost, nothing was done.
 */
export const takeOverMedia = unit(
  'takeOverMedia',
  async (
    tx,
    {
      media,
      kept = [],
      now,
      step,
    }: {
      media: readonly TakenMedia[]
      kept?: readonly PlacedObject[]
      now: number
      step?: TakeOverStep | undefined
    },
  ): Promise<TakenOver | undefined> => {
    if (!(await noteStep(tx, step))) return undefined
    await addPlaces(tx, [...media, ...kept])
    const changed = await applyDifferences(tx, media, now)
    const unseen = new Set((await addToLedger(tx, media)).map(keyOf))
    const coming = media.filter((one) => unseen.has(keyOf(one)) && (one.flags & MMR_FLAGS.thumbnail) === 0)
    const fresh = await addObjects(tx, coming, now)
    const added = await addNames(tx, coming, { sizes: fresh, now })
    // What is new here cannot be quarantined under another name.
    const known = added.filter(({ sha256 }) => !fresh.has(sha256))
    const again = await quarantineAgain(tx, known, now)
    return { added: added.length, changed: [...changed, ...again] }
  },
)

const keyOf = ({ origin, mediaId }: { origin: string; mediaId: string }) => `${origin}/${mediaId}`

async function addToLedger(tx: Queryable, media: readonly TakenMedia[]) {
  if (media.length === 0) return []
  const rows = media.map(({ origin, mediaId: media_id, sha256, flags }) => ({ origin, media_id, sha256, flags }))
  const columns = { origin: 'text', media_id: 'text', sha256: 'text', flags: 'bigint' } as const
  return await tx
    .insertInto('mmr_media')
    .columns(['origin', 'media_id', 'sha256', 'flags'])
    .expression(
      tx
        .selectFrom(given(tx, rows, columns).as('given'))
        .select(['origin', 'media_id', 'sha256', 'flags'])
        .where(sql<boolean>`true`)
        .orderBy('origin')
        .orderBy('media_id'),
    )
    .onConflict((conflict) => conflict.columns(['origin', 'media_id']).doNothing())
    .returning(['origin', 'media_id as mediaId'])
    .execute()
}

async function addNames(
  tx: Queryable,
  coming: readonly TakenMedia[],
  { sizes: fresh, now }: { readonly sizes: ReadonlyMap<string, number>; readonly now: number },
): Promise<TakenMedia[]> {
  if (coming.length === 0) return []
  // Whoever deletes the content comes before this, and the name is left out, or after it, and finds the name.
  const others = coming.filter(({ sha256 }) => !fresh.has(sha256)).map(({ sha256 }) => sha256)
  const sizes = new Map([...fresh, ...(await lockSizes(tx, others))])
  const rows = coming.filter(({ sha256 }) => sizes.has(sha256)).map((one) => rowOf(one, now))
  if (rows.length === 0) return []
  const inserted = await insertNames(tx, rows)
  const there = new Set(inserted.map(keyOf))
  const added = coming.filter((one) => there.has(keyOf(one)))
  const counted = added.flatMap((one) =>
    usageChangesOf(one, { changeId: one.mediaId, bytes: sizes.get(one.sha256) ?? one.size, files: 1 }),
  )
  await addUsage(tx, counted)
  await noteQuarantineChanges(tx, added.filter(isQuarantined), true)
  return added
}

const isQuarantined = ({ flags }: TakenMedia) => (flags & MMR_FLAGS.quarantined) !== 0

function rowOf({ flags, ...media }: TakenMedia, now: number) {
  return {
    origin: media.origin,
    media_id: media.mediaId,
    sha256: media.sha256,
    kind: media.kind,
    content_type: media.contentType,
    upload_name: media.uploadName,
    uploader: media.uploader,
    created_at: media.createdAt,
    accessed_at: media.accessedAt,
    authenticated_at: (flags & MMR_FLAGS.restricted) === 0 ? null : media.createdAt,
    quarantined_at: (flags & MMR_FLAGS.quarantined) === 0 ? null : now,
    protected_at: (flags & MMR_FLAGS.pinned) === 0 ? null : now,
  }
}

async function insertNames(tx: Queryable, rows: readonly ReturnType<typeof rowOf>[]) {
  const names = Object.keys(MEDIA_COLUMNS) as (keyof typeof MEDIA_COLUMNS)[]
  return await tx
    .insertInto('media')
    .columns(names)
    .expression(
      tx
        .selectFrom(given(tx, rows, MEDIA_COLUMNS).as('given'))
        .select(names)
        // Ids of ours never name anything again.
        .where((is) =>
          is.not(
            is.exists(
              is
                .selectFrom('deleted_media')
                .select('deleted_media.media_id')
                .whereRef('deleted_media.origin', '=', 'given.origin')
                .whereRef('deleted_media.media_id', '=', 'given.media_id'),
            ),
          ),
        )
        .orderBy('origin')
        .orderBy('media_id'),
    )
    .onConflict((conflict) => conflict.columns(['origin', 'media_id']).doNothing())
    .returning(['origin', 'media_id as mediaId'])
    .execute()
}

/** What was quarantined here while MMR gave the same content another name. */
async function quarantineAgain(tx: Queryable, added: readonly TakenMedia[], now: number): Promise<string[]> {
  const unmarked = added.filter((one) => (one.flags & (MMR_FLAGS.quarantined | MMR_FLAGS.pinned)) === 0)
  const quarantined = await quarantinedOf(
    tx,
    unmarked.map(({ sha256 }) => sha256),
  )
  const open = unmarked.filter(({ sha256 }) => quarantined.has(sha256))
  if (open.length === 0) return []
  const rows = open.map(({ origin, mediaId: media_id, sha256 }) => ({ origin, media_id, sha256, flags: 0 }))
  const columns = { origin: 'text', media_id: 'text', sha256: 'text', flags: 'bigint' } as const
  const blocked = await tx
    .selectFrom(given(tx, rows, columns).as('given'))
    .innerJoin('media', 'media.sha256', 'given.sha256')
    .leftJoin('mmr_media', (join) =>
      join.onRef('mmr_media.origin', '=', 'media.origin').onRef('mmr_media.media_id', '=', 'media.media_id'),
    )
    .select(['given.origin as origin', 'given.media_id as mediaId', 'given.sha256 as sha256'])
    .where('media.quarantined_at', 'is not', null)
    // Not where MMR itself had it so: it quarantined this name, and not that one.
    .where(sql<boolean>`coalesce(mmr_media.flags, 0) % 2 = 0`)
    .distinct()
    .execute()
  for (const { origin, mediaId } of blocked) {
    await tx
      .updateTable('media')
      .set({ quarantined_at: now })
      .where('origin', '=', origin)
      .where('media_id', '=', mediaId)
      .execute()
  }
  await noteQuarantineChanges(tx, blocked, true)
  return [...new Set(blocked.map(({ sha256 }) => sha256))]
}
