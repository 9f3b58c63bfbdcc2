import { forgetNames, freePlaces, seenNames, seenPlaces } from '../../db/mmr/gone.ts'
import { countTakeOver, forgetProblems } from '../../db/mmr/report.ts'
import { findTakeOver, setFinished } from '../../db/mmr/state.ts'
import { Refused } from '../../lib/errors.ts'
import type { TakeOverParts } from './parts.ts'

const PAGE = 500

/**
 * Ends a take-over: from now on MMR's records count for nothing. What it alone names (copies of thumbnails that we do not have, bytes that
 * were stored twice or moved, exports) is deleted after ten minutes. Broken off, it goes on where it was. Gives how many places that are.
 *
 * @throws {Refused} `bad_request` when not everything is here, or can be, unless `anyway`; `not_found` when there is nothing to finish
 */
export async function finishTakeOver(
  { db }: Pick<TakeOverParts, 'db'>,
  { anyway, signal }: { readonly anyway: boolean; readonly signal: AbortSignal },
): Promise<number> {
  const stands = await findTakeOver(db.read)
  if (!stands) throw new Refused('not_found', 'There is no take-over from matrix-media-repo to finish')
  if (stands.state === 'copying' && !anyway) {
    throw new Refused('bad_request', 'Not everything is here yet: wait for the end of the copy, or give --anyway')
  }
  if (!anyway) await refuseToLose(db)
  await db.write(setFinished, { state: 'finishing' })
  const freed = await free(db, signal)
  for (;;) {
    signal.throwIfAborted()
    const names = await seenNames(db.read, { origin: '', mediaId: '', limit: PAGE })
    if (names.length === 0) break
    await db.write(forgetNames, names)
  }
  await db.write(forgetProblems, ['no datastore', 'no hash', 'lost', 'differs'])
  await db.write(setFinished, { state: 'finished' })
  return freed
}

/** Files of media that could not be brought here would be nobody's. */
async function refuseToLose(db: TakeOverParts['db']): Promise<void> {
  const { problems } = await countTakeOver(db.read)
  const unusable = problems['no hash'] ?? 0
  if (unusable === 0) return
  throw new Refused(
    'bad_request',
    `${unusable} media could not be brought here, because matrix-media-repo has no hash of them (cellarium import mmr lists them), ` +
      'and their files would be deleted: give --anyway if they may be',
  )
}

async function free(db: TakeOverParts['db'], signal: AbortSignal): Promise<number> {
  for (let freed = 0; ;) {
    signal.throwIfAborted()
    const places = await seenPlaces(db.read, { datastore: '', location: '', limit: PAGE })
    if (places.length === 0) return freed
    freed += await db.write(freePlaces, places)
  }
}
