import { sql } from '#kysely'
import { given, unit } from '../query.ts'
import { addPlaces } from './objects.ts'
import type { MmrName, MmrReservation } from './pages.ts'
import { noteStep, type TakeOverStep } from './state.ts'

/** Ids that MMR's users deleted: they never name anything else. False: the lease is lost. */
export const takeOverTombstones = unit(
  'takeOverTombstones',
  async (
    tx,
    { names, now, step }: { names: readonly MmrName[]; now: number; step?: TakeOverStep | undefined },
  ): Promise<boolean> => {
    if (!(await noteStep(tx, step))) return false
    const rows = names.map(({ origin, mediaId: media_id }) => ({ origin, media_id }))
    if (rows.length === 0) return true
    const gone = { sha256: '', kind: 'upload', deleted_at: now } as const
    await tx
      .insertInto('deleted_media')
      .columns(['origin', 'media_id', 'sha256', 'kind', 'deleted_at'])
      .expression((is) =>
        is
          .selectFrom(given(tx, rows, { origin: 'text', media_id: 'text' }).as('given'))
          .select((each) => [
            'origin',
            'media_id',
            each.val(gone.sha256).as('sha256'),
            each.val(gone.kind).as('kind'),
            sql<number>`cast(${gone.deleted_at} as bigint)`.as('deleted_at'),
          ])
          // MMR keeps rows of what was quarantined when it was deleted.
          .where((each) =>
            each.not(
              each.exists(
                each
                  .selectFrom('media')
                  .select('media.media_id')
                  .whereRef('media.origin', '=', 'given.origin')
                  .whereRef('media.media_id', '=', 'given.media_id'),
              ),
            ),
          ),
      )
      .onConflict((conflict) => conflict.columns(['origin', 'media_id']).doNothing())
      .execute()
    return true
  },
)

/** Ids that wait for their upload. False: the lease is lost. */
export const takeOverReservations = unit(
  'takeOverReservations',
  async (
    tx,
    { reservations, step }: { reservations: readonly MmrReservation[]; step?: TakeOverStep | undefined },
  ): Promise<boolean> => {
    if (!(await noteStep(tx, step))) return false
    const rows = reservations.map((one) => ({
      origin: one.origin,
      media_id: one.mediaId,
      uploader: one.userId,
      created_at: one.createdAt,
      expires_at: one.expiresAt,
    }))
    if (rows.length === 0) return true
    const columns = {
      origin: 'text',
      media_id: 'text',
      uploader: 'text',
      created_at: 'bigint',
      expires_at: 'bigint',
    } as const
    const names = ['origin', 'media_id', 'uploader', 'created_at', 'expires_at'] as const
    await tx
      .insertInto('pending_media')
      .columns([...names])
      .expression((is) =>
        is
          .selectFrom(given(tx, rows, columns).as('given'))
          .select([...names])
          // Uploaded here meanwhile.
          .where((each) =>
            each.not(
              each.exists(
                each
                  .selectFrom('media')
                  .select('media.media_id')
                  .whereRef('media.origin', '=', 'given.origin')
                  .whereRef('media.media_id', '=', 'given.media_id'),
              ),
            ),
          )
          .where((each) =>
            each.not(
              each.exists(
                each
                  .selectFrom('deleted_media')
                  .select('deleted_media.media_id')
                  .whereRef('deleted_media.origin', '=', 'given.origin')
                  .whereRef('deleted_media.media_id', '=', 'given.media_id'),
              ),
            ),
          ),
      )
      .onConflict((conflict) => conflict.columns(['origin', 'media_id']).doNothing())
      .execute()
    return true
  },
)

/** Places that MMR names and that are no media: parts of exports. False: the lease is lost. */
export const keepPlaces = unit(
  'keepMmrPlaces',
  async (
    tx,
    { places, step }: { places: readonly { datastore: string; location: string }[]; step?: TakeOverStep | undefined },
  ): Promise<boolean> => {
    if (!(await noteStep(tx, step))) return false
    await addPlaces(
      tx,
      places.map((place) => ({ ...place, sha256: '' })),
    )
    return true
  },
)
