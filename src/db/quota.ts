import { sql } from '#kysely'
import { compiled, oneAtATime, type Queryable, unit } from './query.ts'
import { type Usage, usageOf } from './usage.ts'

/** What may be uploaded within a sliding window of time. */
export interface UploadWindow {
  readonly seconds: number
  readonly maxBytes: number
}

/** How much may be kept. */
interface Kept {
  /** Bytes; below 0: no limit; 0: nothing. */
  readonly maxBytes: number
  /** 0 and below: no limit. */
  readonly maxFiles: number
}

/** What holds for uploads of one user to one homeserver. */
export interface UploadLimits {
  readonly origin: string
  readonly uploader: string
  /** For the user; null: nothing that would have to be counted. */
  readonly user: (Kept & { readonly windows: readonly UploadWindow[] }) | null
  /** For all media of the homeserver together. */
  readonly total: Kept | null
}

/** Which limit an upload would go beyond. `used` is what there is without it. */
export type Excess =
  | { readonly of: 'user' | 'total'; readonly what: 'bytes' | 'files'; readonly limit: number; readonly used: number }
  | {
      readonly of: 'user'
      readonly what: 'window'
      readonly limit: number
      readonly used: number
      readonly seconds: number
    }

/** An upload that is about to happen, as far as it is known. */
export interface Wanted {
  readonly bytes: number
  /** In ms since 1970. */
  readonly at: number
}

/**
 * Which limit an upload would go beyond, if any. Inside the transaction that commits it, call `lockLimits` before: then nobody
 * else adds anything until its end.
 */
export async function excessOf(db: Queryable, limits: UploadLimits, wanted: Wanted): Promise<Excess | undefined> {
  const { origin, uploader, user, total } = limits
  const ofUser = user && excessOfKept(user, wanted, await usageIfLimited(db, `user:${uploader}`, user))
  if (ofUser) return { of: 'user', ...ofUser }
  const ofTotal = total && excessOfKept(total, wanted, await usageIfLimited(db, `server:${origin}`, total))
  if (ofTotal) return { of: 'total', ...ofTotal }
  for (const window of user?.windows ?? []) {
    const used = await uploadedSince(db, uploader, wanted.at - window.seconds * 1000)
    const { maxBytes: limit, seconds } = window
    if (used + wanted.bytes > limit) return { of: 'user', what: 'window', limit, used, seconds }
  }
  return undefined
}

const NOTHING: Usage = { bytes: 0, files: 0 }

function usageIfLimited(db: Queryable, subject: string, { maxBytes, maxFiles }: Kept): Promise<Usage> | Usage {
  return maxBytes > 0 || maxFiles > 0 ? usageOf(db, subject) : NOTHING
}

function excessOfKept({ maxBytes, maxFiles }: Kept, { bytes }: Wanted, used: Usage) {
  // MMR behaviour: 0 lets nothing in, not even empty files.
  const isOver = maxBytes === 0 || (maxBytes > 0 && used.bytes + bytes > maxBytes)
  if (isOver) return { what: 'bytes', limit: maxBytes, used: used.bytes } as const
  if (maxFiles > 0 && used.files >= maxFiles) return { what: 'files', limit: maxFiles, used: used.files } as const
  return undefined
}

/**
 * Has uploads under the same limits come one after the other, from here to the end of the transaction, on whatever instance they
 * are: so what `excessOf` finds is still so when they are committed. The homeserver's first, for all in one order.
 */
export async function lockLimits(tx: Queryable, { origin, uploader, user, total }: UploadLimits): Promise<void> {
  if (total) await oneAtATime(tx, `uploads of server ${origin}`)
  if (user) await oneAtATime(tx, `uploads of user ${uploader}`)
}

async function uploadedSince(db: Queryable, uploader: string, since: number): Promise<number> {
  const [row] = await bytesSince(db, { uploader, since })
  return row?.bytes ?? 0
}

const bytesSince = compiled((db, { uploader, since }: { uploader: string; since: number }) =>
  db
    .selectFrom('recent_uploads')
    .select(sql<number>`cast(coalesce(sum(bytes), 0) as bigint)`.as('bytes'))
    .where('uploader', '=', uploader)
    .where('uploaded_at', '>', since),
)

/** Notes an upload for the windows that it counts in, in the transaction that commits it. */
export async function noteUpload(
  tx: Queryable,
  { origin, uploader, user }: UploadLimits,
  upload: Wanted & { readonly mediaId: string },
): Promise<void> {
  const longest = Math.max(0, ...(user?.windows ?? []).map(({ seconds }) => seconds))
  if (longest === 0) return
  const { mediaId, bytes, at } = upload
  await insertRecent(tx, { origin, uploader, mediaId, bytes, at, keptUntil: at + longest * 1000 })
}

interface RecentUpload extends Wanted {
  readonly origin: string
  readonly uploader: string
  readonly mediaId: string
  readonly keptUntil: number
}

const insertRecent = compiled((tx, row: RecentUpload) =>
  tx.insertInto('recent_uploads').values({
    uploader: row.uploader,
    uploaded_at: row.at,
    origin: row.origin,
    media_id: row.mediaId,
    bytes: row.bytes,
    kept_until: row.keptUntil,
  }),
)

/** Forgets uploads that counted in no window any more before `before`, at most `limit`, and gives how many. */
export const sweepRecentUploads = unit(
  'sweepRecentUploads',
  async (tx, { before, limit }: { before: number; limit: number }): Promise<number> => {
    const key = ['uploader', 'uploaded_at', 'origin', 'media_id'] as const
    const ended = await tx
      .selectFrom('recent_uploads')
      .select(key)
      .where('kept_until', '<', before)
      .limit(limit)
      .execute()
    for (const row of ended) await deleteRecent(tx, row)
    return ended.length
  },
)

const deleteRecent = compiled((tx, row: { uploader: string; uploaded_at: number; origin: string; media_id: string }) =>
  tx
    .deleteFrom('recent_uploads')
    .where('uploader', '=', row.uploader)
    .where('uploaded_at', '=', row.uploaded_at)
    .where('origin', '=', row.origin)
    .where('media_id', '=', row.media_id),
)
