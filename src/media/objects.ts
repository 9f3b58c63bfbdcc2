import type { Database } from '../db/connect.ts'
import { isPlaceOfMmr } from '../db/mmr/places.ts'
import { findObject, type KnownObject, type OfferedObject, type StoredObject } from '../db/objects.ts'
import { isThumbnail } from '../db/thumbnails.ts'
import { deleteLater } from '../db/unused.ts'
import type { Datastore, ObjectDescription } from '../datastores/datastore.ts'
import type { StagedFile } from '../datastores/staging.ts'
import type { Notifier } from '../coordination/notifier.ts'
import { DatabaseUnavailable, StorageUnavailable } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { ChooseParts } from './choose.ts'
import { placeOf } from './lost.ts'
import { announceChanged } from './records.ts'
import { UNCERTAIN_MS } from './unused.ts'

export interface ObjectParts extends ChooseParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'announce'>
  readonly log: Log
}

/** Where content goes that is not stored yet, and what is known of it. */
export interface Destination extends ObjectDescription {
  readonly datastore: Datastore
}

const ATTEMPTS = 3

/**
 * Puts staged content where it can be pointed at, and runs `commit`, the short transaction that points at it. Content that is
 * stored already is not put again, unless its bytes are gone, out of reach or matrix-media-repo's: then the same bytes take their place. Bytes that
 * were put and that no record ended up pointing at are deleted again, whatever went wrong.
 */
export async function storeObject<Result extends { readonly outcome: string; readonly object?: StoredObject }>(
  parts: ObjectParts,
  staged: StagedFile,
  destination: Destination,
  commit: (object: OfferedObject) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    const offered = await offer(parts, staged, destination)
    const result = await committed(parts, offered, commit)
    // Found bytes may be deleted before the commit locks their row. The staged file is still here: put it this time.
    if (result.outcome === 'object_gone' && !offered.fresh && attempt < ATTEMPTS) continue
    if (result.object && !destination.remakeable) await settle(parts, offered, result.object)
    return result
  }
}

/** What is stored already may be a thumbnail's, for which nobody has waited. Whoever sends the same bytes is told that they last. */
async function settle({ db, datastores }: ObjectParts, offered: OfferedObject, stored: StoredObject): Promise<void> {
  if (offered.fresh && samePlace(offered, stored)) return
  if (await isThumbnail(db.read, stored.sha256)) await datastores.settle(stored)
}

async function offer(parts: ObjectParts, staged: StagedFile, destination: Destination): Promise<OfferedObject> {
  const { datastore, contentType, remakeable } = destination
  const { sha256, size } = staged
  const found = await findObject(parts.db.read, sha256)
  const state = found && (await stateOf(parts, found, datastore))
  if (found && state === 'whole') return { ...placeOf(found), size, fresh: false }
  if (found && state === 'lost') parts.log.warn(placeOf(found), 'a lost object comes back')
  // What takes the place of bytes that others point at is theirs as well.
  const location = await datastore.put(staged, { contentType, ...(remakeable && !found ? { remakeable } : {}) })
  const fresh = { sha256, size, datastore: datastore.id, location, fresh: true }
  if (!found) return fresh
  const outOfReach = state === 'out of reach'
  return { ...fresh, replaces: { datastore: found.datastore, location: found.location, outOfReach } }
}

/**
 * Marked ones are put anew even if something is in their place: these are the right bytes for certain. Those whose datastore cannot
 * be used are too, if there is another one: nobody can tell now whether they are there, and 200 is for what is known to be. So are those that
 * matrix-media-repo names: it may be started again, and deletes them with its own record.
 */
async function stateOf(
  { db, datastores }: ObjectParts,
  found: KnownObject,
  other: Datastore,
): Promise<'whole' | 'lost' | 'out of reach' | 'another program’s'> {
  if (found.lostAt !== null || found.damagedAt !== null) return 'lost'
  try {
    if ((await datastores.sizeOf(found)) !== found.size) return 'lost'
    return (await isPlaceOfMmr(db.read, found)) ? 'another program’s' : 'whole'
  } catch (error) {
    if (error instanceof StorageUnavailable && other.id !== found.datastore) return 'out of reach'
    throw error
  }
}

async function committed<Result extends { readonly object?: StoredObject }>(
  parts: ObjectParts,
  offered: OfferedObject,
  commit: (object: OfferedObject) => Promise<Result>,
): Promise<Result> {
  let mayCommit = false
  await using undo = new AsyncDisposableStack()
  if (offered.fresh) undo.defer(() => (mayCommit ? discardLater(parts, offered) : discard(parts, offered)))
  const result = await commit(offered).catch((error: unknown) => {
    mayCommit = error instanceof DatabaseUnavailable && error.mayCommit
    throw error
  })
  if (!result.object || !samePlace(result.object, offered)) return result
  undo.move()
  if (offered.fresh) parts.datastoreSizes.added(offered.datastore, offered.size)
  if (offered.replaces) await tellMoved(parts, offered.sha256)
  return result
}

/** The upload has succeeded by then. Instances that did not hear of it answer for a while that the content is lost. */
async function tellMoved(parts: ObjectParts, sha256: string): Promise<void> {
  try {
    await announceChanged(parts.notifier, [sha256])
  } catch (error) {
    parts.log.warn({ err: error, sha256 }, 'other instances could not be told that an object is elsewhere now')
  }
}

/**
 * Bytes are only deleted when the records say that they are nobody's. When even that cannot be asked, they stay: a sweep
 * finds them.
 */
async function discard(parts: ObjectParts, object: OfferedObject): Promise<void> {
  try {
    const stored = await findObject(parts.db.read, object.sha256)
    if (stored && samePlace(stored, object)) return
    await parts.datastores.delete(object)
  } catch (error) {
    parts.log.warn(
      { err: error, datastore: object.datastore, location: object.location },
      'could not delete unused bytes',
    )
  }
}

/**
 * The connection was lost under the commit, which may be made a moment from now (PostgreSQL goes on without us: its disk or
 * its standby is slow). What the records say now does not count yet; bytes that turn out to have a name then stay.
 */
async function discardLater({ db, log }: ObjectParts, { datastore, location }: OfferedObject): Promise<void> {
  try {
    await db.write(deleteLater, { datastore, location, afterMs: UNCERTAIN_MS })
  } catch (error) {
    log.warn({ err: error, datastore, location }, 'bytes may be left that no record names; a sweep finds them')
  }
}

function samePlace(a: StoredObject, b: StoredObject): boolean {
  return a.datastore === b.datastore && a.location === b.location
}
