import type { Database } from '../../db/connect.ts'
import { isCopying } from '../../db/mmr/state.ts'
import { Refused } from '../../lib/errors.ts'

const AGAIN_IN_MS = 30_000

/**
 * What concerns all media of somebody has to wait until all of MMR's records are here: those that are not would be left out.
 *
 * @throws {Refused} `storage_unavailable` while they are copied
 */
export async function refuseWhileCopying({ db }: { readonly db: Pick<Database, 'read'> }): Promise<void> {
  if (!(await isCopying(db.read))) return
  const message =
    'The records of matrix-media-repo are still being copied, and this needs all of them: please try again'
  throw new Refused('storage_unavailable', message, { retryAfterMs: AGAIN_IN_MS })
}
