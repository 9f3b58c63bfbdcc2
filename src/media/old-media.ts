import { leastRecentlyUsed, START } from '../db/candidates.ts'
import { describeNames, type Name, type NamedMedia } from '../db/deletion.ts'
import type { MediaKind } from '../db/schema.ts'
import { formatMxc } from '../matrix/ids.ts'
import { deletePage } from './named.ts'
import type { ModerationParts } from './moderation.ts'

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
 * Deletes old and large uploads, the least recently used first, page by page, and gives their ids; without those that are
 * quarantined or protected. `avatars` absent: also pictures of users and rooms. Ends with the signal after the page that it is at,
 * and after `MOST_DELETED`.
 */
export async function deleteOldUploads(
  parts: ModerationParts,
  wanted: OldUploads,
  avatars: Avatars | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { serverName, before, largerThan } = wanted
  const isAvatar = avatars ? findsAvatars(avatars) : async () => false
  const isMeant = async (media: FoundMedia) =>
    media.origin === serverName && media.size > largerThan && media.protectedAt === null && !(await isAvatar(media))
  const deleted: string[] = []
  for await (const gone of deletedPages(parts, { kind: 'upload', before }, isMeant)) {
    for (const { mediaId } of gone) deleted.push(mediaId)
    if (signal.aborted || deleted.length >= MOST_DELETED) break
  }
  return deleted
}

/** The same for media of other servers, all of them, and gives how many there were. */
export async function deleteOldRemote(parts: ModerationParts, before: number, signal: AbortSignal): Promise<number> {
  let deleted = 0
  for await (const gone of deletedPages(parts, { kind: 'remote', before }, async () => true)) {
    deleted += gone.length
    if (signal.aborted) break
  }
  return deleted
}

/** What is gone of each page. */
async function* deletedPages(
  parts: ModerationParts,
  { kind, before }: { readonly kind: MediaKind; readonly before: number },
  isMeant: (media: FoundMedia) => Promise<boolean>,
): AsyncGenerator<readonly Name[]> {
  for (let after = START; ;) {
    const page = await leastRecentlyUsed(parts.db.read, { kind, before, after, limit: PAGE })
    const last = page.at(-1)
    if (!last) return
    after = last
    const doomed: Name[] = []
    for (const media of await describeNames(parts.db.read, page)) if (await isMeant(media)) doomed.push(media)
    const names = doomed.map(({ origin, mediaId }) => ({ origin, mediaId }))
    // Whatever was used, quarantined or protected meanwhile stays.
    yield await deletePage(parts, names, { unusedSince: before, quarantined: false })
  }
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
