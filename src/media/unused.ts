import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import { deleteLater, forgetUnused, type Place, unusedPlaces } from '../db/unused.ts'
import { unusedDeleted } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'

/** How long bytes stay that lost their name, for those who found them before and are still reading. */
export const KEEP_UNUSED_MS = 10 * 60_000

/** A commit whose answer was lost may still be made: until then nobody knows whose the bytes are. */
export const UNCERTAIN_MS = 3_600_000

const PAGE = 100
const AT_ONCE = 8
const TRY_AGAIN_MS = 10 * 60_000
/** A datastore that is not configured may come back; nothing is lost by waiting for it. */
const NOT_CONFIGURED_MS = 24 * 3_600_000

export interface UnusedParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'get'>
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/**
 * Deletes bytes that were handed over for deletion and whose time has come, unless a record names them after all. What cannot
 * be deleted now is tried again later. Deleting twice does no harm, so two instances may do this at once.
 */
export async function deleteUnused(parts: UnusedParts, signal: AbortSignal): Promise<void> {
  for (;;) {
    const places = await unusedPlaces(parts.db.read, PAGE)
    for (let begin = 0; begin < places.length && !signal.aborted; begin += AT_ONCE) {
      const some = places.slice(begin, begin + AT_ONCE)
      await Promise.all(some.map((place) => deleteOrPutOff(parts, place)))
    }
    if (signal.aborted || places.length < PAGE) return
  }
}

async function deleteOrPutOff(parts: UnusedParts, { isNamed, ...place }: Place & { isNamed: boolean }): Promise<void> {
  const datastore = parts.datastores.get(place.datastore)
  if (isNamed) return await parts.db.write(forgetUnused, [place])
  if (!datastore) return await parts.db.write(deleteLater, { ...place, afterMs: NOT_CONFIGURED_MS })
  try {
    await datastore.delete(place.location)
  } catch (error) {
    parts.events.log.warn({ err: error, ...place }, 'could not delete bytes that no record names; it is tried again')
    return await parts.db.write(deleteLater, { ...place, afterMs: TRY_AGAIN_MS })
  }
  await parts.db.write(forgetUnused, [place])
  unusedDeleted(parts.events, place)
}
