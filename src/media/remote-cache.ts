import { type Candidate, leastRecentlyUsed, type Place, START } from '../db/candidates.ts'
import type { Database } from '../db/connect.ts'
import { REMOTE, usageOf } from '../db/usage.ts'

const PAGE = 200

export interface RemoteCacheParts {
  readonly db: Pick<Database, 'read'>
  /** Removes a name of some media, with the content if that was its last; other instances drop it too. */
  readonly remove: (media: Candidate) => Promise<void>
}

export interface Trimmed {
  /** What the media of other servers take now, each name counted, in bytes. */
  readonly bytes: number
  /** Media that were removed. */
  readonly removed: number
}

/**
 * Removes media of other servers, the least recently used first, until they take `maxBytes` at most; 0 = no limit. They can be
 * fetched again. Quarantined ones stay, or they would be fetched again too. Ends between two of them once `signal` says so.
 */
export async function trimRemoteCache(
  { db, remove }: RemoteCacheParts,
  maxBytes: number,
  now: number,
  signal: AbortSignal,
): Promise<Trimmed> {
  let { bytes } = await usageOf(db.read, REMOTE)
  let removed = 0
  const limit = maxBytes === 0 ? Infinity : maxBytes
  for (let after: Place | undefined = START; after && bytes > limit;) {
    const page: Candidate[] = await leastRecentlyUsed(db.read, { kind: 'remote', before: now, after, limit: PAGE })
    for (const media of enough(page, bytes - limit)) {
      if (signal.aborted) return { bytes, removed }
      await remove(media)
      bytes -= media.size
      removed++
    }
    after = endOf(page)
  }
  return { bytes, removed }
}

/** The first of them that take `excess` bytes together; all, when they do not take as much. */
export function enough(page: readonly Candidate[], excess: number): readonly Candidate[] {
  const free = page.filter(({ quarantinedAt }) => quarantinedAt === null)
  let freed = 0
  const count = free.findIndex(({ size }) => (freed += size) >= excess)
  return count === -1 ? free : free.slice(0, count + 1)
}

function endOf(page: readonly Candidate[]): Place | undefined {
  const last = page.at(-1)
  return last && { at: last.lastUsedAt, origin: last.origin, mediaId: last.mediaId }
}
