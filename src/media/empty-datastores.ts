import type { Database } from '../db/connect.ts'
import { objectsAfterHash, objectsAfterLocation } from '../db/object-care.ts'
import { type Datastore, hasOnlyThumbnails } from '../datastores/datastore.ts'
import { ConfigError } from '../lib/errors.ts'
import { isMarkedLost } from './lost.ts'

const OF_EACH_ORDER = 8
/** Neighbours by hash may lie in any datastore. */
const NEIGHBOURS_BY_HASH = 100
/** With fewer than these on record there is little to tell by, and little to lose. */
const ENOUGH = 8

/**
 * Refuses to serve with an empty folder, where records name objects in it: its disk is not mounted, or the path is another one.
 * What was uploaded there would be hidden once the disk is back, and downloads would be taken for lost. Objects that are marked as lost
 * do not count, so a disk that is really gone can be given up. Nor do folders for nothing but thumbnails. Buckets are not asked: they may be away at a start.
 *
 * @throws {ConfigError} that may pass, with a line for each such folder
 */
export async function refuseEmptyDatastores(
  { db }: { readonly db: Pick<Database, 'read'> },
  datastores: Iterable<Datastore>,
): Promise<void> {
  const folders = [...datastores].filter(
    (datastore) => datastore.localPath !== undefined && !hasOnlyThumbnails(datastore),
  )
  const problems = await Promise.all(folders.map((datastore) => problemOf(db, datastore)))
  const lines = problems.filter((problem) => problem !== undefined)
  if (lines.length > 0) throw new ConfigError(lines, { mayPass: true })
}

async function problemOf(db: Pick<Database, 'read'>, datastore: Datastore): Promise<string | undefined> {
  const recorded = await someOf(db, datastore.id)
  if (recorded.length < ENOUGH) return undefined
  for (const location of recorded) {
    // One that cannot be read says so itself, and is looked at again until it can.
    const isGone = await datastore.sizeOf(location).then(
      (size) => size === undefined,
      () => false,
    )
    if (!isGone) return undefined
  }
  if (await hasFiles(datastore)) return undefined
  return (
    `datastores: ${datastore.id} (${datastore.uri}) has none of ${recorded.length} recorded objects that were looked for, and no other file: is its disk ` +
    `mounted, is the path right? If they are lost for good: cellarium datastores check ${datastore.id} --repair --force`
  )
}

/** Then it is no mount point without its disk, whatever happened to what was looked for. */
async function hasFiles(datastore: Datastore): Promise<boolean> {
  const files = datastore.list()[Symbol.asyncIterator]()
  const { done } = await files.next()
  await files.return?.()
  return done !== true
}

/** The locations of some objects that should be there: the first by their places, which may be the oldest, and any. */
async function someOf({ read }: Pick<Database, 'read'>, datastore: string): Promise<readonly string[]> {
  const [first, anywhere] = await Promise.all([
    objectsAfterLocation(read, { datastore, after: '', limit: OF_EACH_ORDER }),
    objectsAfterHash(read, { after: '', limit: NEIGHBOURS_BY_HASH }),
  ])
  const any = anywhere.filter((object) => object.datastore === datastore).slice(0, OF_EACH_ORDER)
  const expected = [...first, ...any].filter((object) => !isMarkedLost(object))
  return [...new Set(expected.map(({ location }) => location))]
}
