import { setImmediate as nextTurn } from 'node:timers/promises'
import { leastRecentlyUsed, START } from '../db/candidates.ts'
import { describeNames, type Name, type NamedMedia } from '../db/deletion.ts'
import { formatMxc } from '../matrix/ids.ts'
import { refuseWhileCopying } from './mmr/incomplete.ts'
import type { ModerationParts } from './moderation.ts'
import { deleteNamed, type Gone } from './named.ts'

/** What is to be deleted of the uploads of a homeserver. */
export interface OldUploads {
  readonly serverName: string
  /** Only what was last used before, in ms since 1970. */
  readonly before: number
  /** Only what is larger, in bytes. */
  readonly largerThan: number
}

/** Tells which media are somebody's picture, or a room's. Asked before anything is deleted. */
export interface Avatars {
  /** MXC URI of a user's picture. */
  readonly ofUser: (userId: string) => Promise<string | undefined>
  /** MXC URIs of the pictures of all rooms. */
  readonly ofRooms: () => Promise<ReadonlySet<string>>
}

type FoundMedia = NamedMedia & { readonly size: number }

const PAGE = 100
/** Names of an answer: some megabytes. What is left is found by asking again. */
export const MOST_DELETED = 100_000

/**
 * Deletes old and large uploads, the least recently used first, page by page; without those that are quarantined or protected.
 * `avatars` absent: also pictures of users and rooms. Ends with the signal after the page that it is at, and after
 * `MOST_DELETED`.
 */
export async function deleteOldUploads(
  parts: ModerationParts,
  { serverName, before, largerThan }: OldUploads,
  avatars: Avatars | undefined,
  signal: AbortSignal,
): Promise<Gone> {
  await refuseWhileCopying(parts)
  const isAvatar = avatars ? findsAvatars(avatars) : async () => false
  const names: Name[] = []
  let bytes = 0
  for (let after = START; names.length < MOST_DELETED && !signal.aborted;) {
    const page = await leastRecentlyUsed(parts.db.read, { kind: 'upload', before, after, limit: PAGE })
    const last = page.at(-1)
    if (!last) break
    after = last
    const found = await describeNames(parts.db.read, page)
    const meant = found.filter(
      (media) => media.origin === serverName && media.size > largerThan && media.protectedAt === null,
    )
    // Whatever is used, quarantined or protected meanwhile stays.
    const rules = { unusedSince: before, quarantined: false }
    const gone = await deleteNamed(parts, await without(meant, isAvatar), rules)
    for (const name of gone.names) names.push(name)
    bytes += gone.bytes
    // SQLite answers on this thread: others get their turn between pages.
    await nextTurn()
  }
  return { names, bytes }
}

async function without(
  media: readonly FoundMedia[],
  isKept: (media: FoundMedia) => Promise<boolean>,
): Promise<readonly Name[]> {
  const names: Name[] = []
  for (const one of media) if (!(await isKept(one))) names.push({ origin: one.origin, mediaId: one.mediaId })
  return names
}

/** Each user is asked about once, and the rooms when the first media is to be deleted. */
function findsAvatars({ ofUser, ofRooms }: Avatars): (media: FoundMedia) => Promise<boolean> {
  const ofUsers = new Map<string, string | undefined>()
  let rooms: ReadonlySet<string> | undefined
  return async ({ origin, mediaId, uploader }) => {
    const mxc = formatMxc({ origin, mediaId })
    rooms ??= await ofRooms()
    if (rooms.has(mxc)) return true
    if (uploader === null) return false
    if (!ofUsers.has(uploader)) ofUsers.set(uploader, await ofUser(uploader))
    return ofUsers.get(uploader) === mxc
  }
}
