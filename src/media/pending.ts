import { type Hints, hintsOf } from '../coordination/hints.ts'
import type { Notifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { findMedia, type MediaRecord } from '../db/media.ts'
import { findReservation, reserve } from '../db/pending.ts'
import type { Clock } from '../lib/clock.ts'
import { CallerGone, Refused } from '../lib/errors.ts'
import { formatMxc, type Mxc } from '../matrix/ids.ts'
import { isExempt } from './byte-limit.ts'
import type { Context } from './context.ts'
import { quotaFor, type QuotaParts, refuseOverQuota } from './quota.ts'

export interface PendingParts extends Pick<QuotaParts, 'events'> {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Notifier
  readonly clock: Clock
  readonly newMediaId: () => string
}

/** A media id given out before its content. Source: MSC2246. */
export interface Created extends Mxc {
  /** Until when the content has to come, in ms since 1970. */
  readonly expiresAt: number
}

/**
 * Reserves a media id for the caller, or refuses with `limited` until the first of the caller's open ones ends. Who may upload
 * nothing more gets none.
 */
export async function create(parts: PendingParts, ctx: Context, uploader: string): Promise<Created> {
  const { uploads, name: origin } = ctx.homeserver
  await refuseOverQuota(parts, ctx, uploads.minBytes)
  const createdAt = parts.clock.now()
  const reservation = {
    origin,
    mediaId: parts.newMediaId(),
    uploader,
    createdAt,
    expiresAt: createdAt + uploads.maxAgeSeconds * 1000,
  }
  const maxPending = maxPendingFor(ctx, uploader)
  const result = await parts.db.write(reserve, { ...reservation, maxPending })
  if (result.outcome === 'too_many') {
    throw new Refused('limited', `${maxPending} reserved media ids wait for their upload already`, {
      retryAfterMs: Math.max(1, result.firstExpiresAt - createdAt),
    })
  }
  return reservation
}

/** The rule of the quotas that is for the user, if one is; else what holds for all but appservices and the shared secret. */
function maxPendingFor({ homeserver: { uploads }, caller }: Context, uploader: string): number {
  return quotaFor(uploads, uploader).maxPending ?? (isExempt(caller) ? 0 : uploads.maxPending)
}

/** Hints may get lost between instances; this often the records are looked at anyway. */
export const LOOK_AGAIN_MS = 1000

/**
 * Waits until the content of a reserved id is here, at most `timeoutMs`; then `not_yet_uploaded`. An id that nobody reserved,
 * or whose time is over, gives undefined at once. Ends when the caller goes.
 */
export async function waitForUpload(
  parts: Pick<PendingParts, 'db' | 'notifier' | 'clock'>,
  ctx: Pick<Context, 'signal'>,
  mxc: Mxc,
  timeoutMs: number,
): Promise<MediaRecord | undefined> {
  const deadline = parts.clock.now() + timeoutMs
  const hints = listen(parts.notifier, formatMxc(mxc), ctx.signal)
  using _ = hints
  for (;;) {
    // Reservation before record: an upload landing in between is then found, not taken for an expired id.
    const reservation = await findReservation(parts.db.read, mxc.origin, mxc.mediaId)
    const record = await findMedia(parts.db.read, mxc.origin, mxc.mediaId)
    const now = parts.clock.now()
    if (record) return record
    if (!reservation || reservation.expiresAt <= now) return undefined
    if (now >= deadline) throw new Refused('not_yet_uploaded', 'Media not yet uploaded')
    await hints.next(Math.min(LOOK_AGAIN_MS, deadline - now, reservation.expiresAt - now))
    if (ctx.signal.aborted) throw new CallerGone('the caller left while waiting for an upload')
  }
}

/** Listens for the content of an MXC URI, on whatever instance it comes; gives what is to be waited for. */
export function listen(notifier: Pick<Notifier, 'on'>, mxc: string, signal: AbortSignal): Hints {
  return hintsOf(notifier, 'uploaded', (message) => message === mxc, signal)
}
