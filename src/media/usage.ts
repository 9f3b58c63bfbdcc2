import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../db/connect.ts'
import { thumbnailsOfServer } from '../db/thumbnails.ts'
import { type MediaPlace, type UploaderUsage, uploadersNamed, uploadersPage, uploadsOfUser } from '../db/usage-lists.ts'
import { type Usage, usageOf } from '../db/usage.ts'
import { foldWhatWaits } from '../db/user-statistics.ts'

/** Before the first. */
export const FROM_THE_BEGINNING: MediaPlace = { at: -1, mediaId: '' }
/** All users together: more than so many media ids are too much for one answer. */
const UPLOADS_AT_MOST = 10_000

/**
 * What the media of a server use, each name counted, and the thumbnails that were made of them. Thumbnails of content that
 * several servers have count for the one for whose media they were first made.
 */
export async function serverUsage(
  db: Pick<Database, 'read'>,
  server: string,
): Promise<{ readonly media: Usage; readonly thumbnails: Usage }> {
  const media = await usageOf(db.read, `server:${server}`)
  return { media, thumbnails: await usageOf(db.read, thumbnailsOfServer(server)) }
}

/** Which users of a server, and how much of each. */
export interface UsersWish {
  readonly server: string
  /** None: all of them, in the order of their ids. */
  readonly userIds: readonly string[]
  /** Of all of them: only those behind this id; empty: from the first. */
  readonly after: string
  /** Of all of them: how many. */
  readonly limit: number
  readonly uploads: {
    readonly after: MediaPlace
    /** For each user. */
    readonly limit: number
  }
}

export interface UserUploads extends UploaderUsage {
  /** The oldest first. */
  readonly uploads: readonly MediaPlace[]
  /** There are more; they come behind this one. */
  readonly more: MediaPlace | undefined
}

/** What users have of a server's media. Users of whom there is nothing are left out. */
export async function usersUsage(
  db: Pick<Database, 'read' | 'write'>,
  wish: UsersWish,
  signal: AbortSignal,
): Promise<UserUploads[]> {
  await foldWhatWaits(db, signal)
  const { server, userIds, after, limit } = wish
  const users =
    userIds.length > 0
      ? await uploadersNamed(db.read, { server, userIds })
      : await uploadersPage(db.read, { server, after, limit })
  const found: UserUploads[] = []
  let left = UPLOADS_AT_MOST
  for (const user of users) {
    const most = Math.min(wish.uploads.limit, left)
    const listed = await listUploads(db, { server, userId: user.userId, after: wish.uploads.after, most })
    left -= listed.uploads.length
    found.push({ ...user, ...listed })
    signal.throwIfAborted()
    // SQLite answers on this thread: others get their turn in between.
    await nextTurn()
  }
  return found
}

async function listUploads(
  { read }: Pick<Database, 'read'>,
  {
    most,
    after,
    ...of
  }: { readonly server: string; readonly userId: string; readonly after: MediaPlace; readonly most: number },
): Promise<Pick<UserUploads, 'uploads' | 'more'>> {
  // One more than is told, to know whether there are more.
  const found = await uploadsOfUser(read, { ...of, after, limit: most + 1 })
  const uploads = found.slice(0, most)
  return { uploads, more: found.length > most ? (uploads.at(-1) ?? after) : undefined }
}
