import { type Candidate, leastRecentlyUsed, START } from '../db/candidates.ts'
import type { Database } from '../db/connect.ts'
import { REMOTE, usageOf } from '../db/usage.ts'

const PAGE = 200

export interface RemoteCacheParts {
  readonly db: Pick<Database, 'read'>
  /**
   * Removes a name of some media, with the content if that was its last; other instances drop it too. Gives how many bytes its
   * server is no longer counted for.
   */
  readonly remove: (media: Candidate) => Promise<number>
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
  for (let after: Candidate | undefined = START; after && bytes > limit;) {
    const page: Candidate[] = await leastRecentlyUsed(db.read, { kind: 'remote', before: now, after, limit: PAGE })
    for (const media of page) {
      if (signal.aborted || bytes <= limit) return { bytes, removed }
      bytes -= await remove(media)
      removed++
    }
    after = page.at(-1)
  }
  return { bytes, removed }
}
