import { sql } from '#kysely'
import { compiled, lockRows, oneAtATime, type Queryable, unit } from './query.ts'

/** A media id that `create` gave out and whose content has not come yet. */
export interface Reservation {
  readonly origin: string
  readonly mediaId: string
  readonly uploader: string
  readonly createdAt: number
  readonly expiresAt: number
}

/** How a reservation stands when its uploader comes with the content. */
export type ReservationState = 'open' | 'not_reserved' | 'expired' | 'other_uploader' | 'already_uploaded'

/** The reservation of an id, also when it has expired. */
export const findReservation = async (
  db: Queryable,
  origin: string,
  mediaId: string,
): Promise<Reservation | undefined> => (await reservationByName(db, { origin, mediaId }))[0]

const reservationByName = compiled((db, name: { origin: string; mediaId: string }) =>
  db
    .selectFrom('pending_media')
    .select(['origin', 'media_id as mediaId', 'uploader', 'created_at as createdAt', 'expires_at as expiresAt'])
    .where('origin', '=', name.origin)
    .where('media_id', '=', name.mediaId),
)

/**
 * How the reservation of `origin/mediaId` stands for `uploader` at `now`. An upload that is complete comes before everything
 * else: the specification's 409 must win over whatever else is wrong.
 */
export async function reservationState(
  db: Queryable,
  wanted: { readonly origin: string; readonly mediaId: string; readonly uploader: string | null },
  now: number,
): Promise<ReservationState> {
  const { origin, mediaId } = wanted
  if ((await mediaExists(db, { origin, mediaId })).length > 0) return 'already_uploaded'
  const reservation = await findReservation(db, origin, mediaId)
  if (!reservation) return 'not_reserved'
  if (reservation.uploader !== wanted.uploader) return 'other_uploader'
  return reservation.expiresAt <= now ? 'expired' : 'open'
}

const mediaExists = compiled((db, name: { origin: string; mediaId: string }) =>
  db.selectFrom('media').select('media_id').where('origin', '=', name.origin).where('media_id', '=', name.mediaId),
)

/**
 * How a reservation stands, inside the transaction that will store its content: the row is locked, so that two uploads at
 * once come one after the other. The deadline counts from when the upload began (`createdAt`), so that a long upload is not
 * refused at its end.
 */
export async function lockReservation(
  tx: Queryable,
  media: {
    readonly origin: string
    readonly mediaId: string
    readonly uploader: string | null
    readonly createdAt: number
  },
): Promise<ReservationState> {
  const { origin, mediaId } = media
  await lockPending(tx, { origin, mediaId })
  return await reservationState(tx, media, media.createdAt)
}

const lockPending = compiled((tx, name: { origin: string; mediaId: string }) =>
  lockRows(
    tx,
    tx
      .selectFrom('pending_media')
      .select('media_id')
      .where('origin', '=', name.origin)
      .where('media_id', '=', name.mediaId),
  ),
)

/** Deletes a reservation: used up by its content, or ended. */
export async function deleteReservation(tx: Queryable, name: { readonly origin: string; readonly mediaId: string }) {
  await deletePending(tx, { origin: name.origin, mediaId: name.mediaId })
}

const deletePending = compiled((tx, name: { origin: string; mediaId: string }) =>
  tx.deleteFrom('pending_media').where('origin', '=', name.origin).where('media_id', '=', name.mediaId),
)

export type ReserveResult =
  | { readonly outcome: 'reserved' }
  /** The user has as many open reservations as allowed; the first of them ends at `firstExpiresAt`. */
  | { readonly outcome: 'too_many'; readonly firstExpiresAt: number }

/** Reserves an id, unless its uploader already has `maxPending` open ones (0: no limit). */
export const reserve = unit(
  'reserve',
  async (tx, wanted: Reservation & { readonly maxPending: number }): Promise<ReserveResult> => {
    const { maxPending, ...row } = wanted
    if (maxPending > 0) {
      await oneAtATime(tx, `reserve ${row.uploader}`)
      const open = await openReservations(tx, row.uploader, row.createdAt)
      if (open.count >= maxPending) return { outcome: 'too_many', firstExpiresAt: open.firstExpiresAt ?? row.createdAt }
    }
    await tx
      .insertInto('pending_media')
      .values({
        origin: row.origin,
        media_id: row.mediaId,
        uploader: row.uploader,
        created_at: row.createdAt,
        expires_at: row.expiresAt,
      })
      .execute()
    return { outcome: 'reserved' }
  },
)

async function openReservations(tx: Queryable, uploader: string, now: number) {
  return await tx
    .selectFrom('pending_media')
    .select(sql<number>`count(*)`.as('count'))
    .select(({ fn }) => fn.min('expires_at').as('firstExpiresAt'))
    .where('uploader', '=', uploader)
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow()
}

/** Deletes reservations that ended before `before`, at most `limit`, and gives how many. */
export const sweepReservations = unit(
  'sweepReservations',
  async (tx, { before, limit }: { before: number; limit: number }): Promise<number> => {
    const ended = await tx
      .selectFrom('pending_media')
      .select(['origin', 'media_id'])
      .where('expires_at', '<', before)
      .limit(limit)
      .execute()
    for (const row of ended) await deleteReservation(tx, { origin: row.origin, mediaId: row.media_id })
    return ended.length
  },
)
