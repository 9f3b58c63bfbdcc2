/** What MMR deleted or moved since it was last looked at, and the end of all this. */
import { sql } from '#kysely'
import { deleteNames } from '../deletion.ts'
import { findObject, lockObject } from '../objects.ts'
import { compiled, given, type Queryable, unit } from '../query.ts'
import { handOverAll } from '../unused.ts'
import { countUsage } from '../usage.ts'
import type { PlacedObject } from './objects.ts'
import type { MmrName } from './pages.ts'
import { noteStep, type TakeOverStep } from './state.ts'

/** The next names that were seen in MMR, in our order. */
export const seenNames = compiled((db, page: { origin: string; mediaId: string; limit: number }) =>
  db
    .selectFrom('mmr_media')
    .select(['origin', 'media_id as mediaId'])
    .where(sql<boolean>`(origin, media_id) > (${page.origin}, ${page.mediaId})`)
    .orderBy('origin')
    .orderBy('media_id')
    .limit(page.limit),
)

/** The next places that were seen in MMR, in our order. */
export const seenPlaces = compiled((db, page: { datastore: string; location: string; limit: number }) =>
  db
    .selectFrom('mmr_places')
    .select(['datastore', 'location', 'sha256'])
    .where(sql<boolean>`(datastore, location) > (${page.datastore}, ${page.location})`)
    .orderBy('datastore')
    .orderBy('location')
    .limit(page.limit),
)

/** Whether a name was ever seen in MMR. */
export const isSeen = async (db: Queryable, { origin, mediaId }: MmrName): Promise<boolean> =>
  (await seenName(db, { origin, mediaId })).length > 0

const seenName = compiled((db, { origin, mediaId }: { origin: string; mediaId: string }) =>
  db.selectFrom('mmr_media').select('media_id').where('origin', '=', origin).where('media_id', '=', mediaId),
)

/** Deletes what MMR deleted. Gives the contents; undefined: the lease is lost. */
export const removeGone = unit(
  'removeMmrGone',
  async (
    tx,
    { names, now, step }: { names: readonly MmrName[]; now: number; step: TakeOverStep },
  ): Promise<readonly string[] | undefined> => {
    if (!(await noteStep(tx, step))) return undefined
    const gone = await deleteNames.run(tx, { names, rules: { evenProtected: true }, at: now })
    for (const { origin, mediaId } of names) {
      await tx.deleteFrom('mmr_media').where('origin', '=', origin).where('media_id', '=', mediaId).execute()
    }
    return gone.sha256s
  },
)

/**
 * Forgets places that MMR does not name any more. Contents of ours that lie there are looked for where MMR has them now; where it has them
 * nowhere, and nothing of ours names the place, the bytes are deleted. Gives the contents that are elsewhere now; undefined: the lease
 * is lost.
 */
export const leavePlaces = unit(
  'leaveMmrPlaces',
  async (
    tx,
    {
      places,
      step,
    }: { places: readonly Pick<PlacedObject, 'datastore' | 'location' | 'sha256'>[]; step: TakeOverStep },
  ): Promise<readonly string[] | undefined> => {
    if (!(await noteStep(tx, step))) return undefined
    const moved: string[] = []
    for (const { datastore, location, sha256 } of places) {
      await tx.deleteFrom('mmr_places').where('datastore', '=', datastore).where('location', '=', location).execute()
      const [object] = sha256 === '' ? [] : await lockObject(tx, { sha256 })
      const isOurs = object?.datastore === datastore && object.location === location
      if (!isOurs) continue
      if (await follow(tx, object)) moved.push(sha256)
    }
    await handOverUnnamed(tx, places)
    return moved
  },
)

/** Points an object's row to another place at which MMR has it; false: there is none. */
async function follow(tx: Queryable, { sha256, datastore, location, size }: PlacedObject): Promise<boolean> {
  const [other] = await freePlaceOf(tx, { sha256 })
  if (!other) return false
  await tx
    .updateTable('objects')
    .set({ datastore: other.datastore, location: other.location, lost_at: null, damaged_at: null })
    .where('sha256', '=', sha256)
    .execute()
  await countUsage(tx, [
    { subject: `datastore:${datastore}`, changeId: `${location} left for ${other.location}`, bytes: -size, files: -1 },
    {
      subject: `datastore:${other.datastore}`,
      changeId: `${other.location} instead of ${location}`,
      bytes: size,
      files: 1,
    },
  ])
  return true
}

const freePlaceOf = compiled((tx, { sha256 }: { sha256: string }) =>
  tx
    .selectFrom('mmr_places')
    .leftJoin('objects', (join) =>
      join
        .onRef('objects.datastore', '=', 'mmr_places.datastore')
        .onRef('objects.location', '=', 'mmr_places.location'),
    )
    .select(['mmr_places.datastore as datastore', 'mmr_places.location as location'])
    .where('mmr_places.sha256', '=', sha256)
    .where('objects.sha256', 'is', null)
    .orderBy('mmr_places.datastore')
    .orderBy('mmr_places.location')
    .limit(1),
)

/** Makes an object's row name another place of MMR's, where its own has nothing and that one has; false: somebody did before. */
export const usePlace = unit(
  'useMmrPlace',
  async (
    tx,
    { sha256, from, to }: { sha256: string; from: string; to: Pick<PlacedObject, 'datastore' | 'location'> },
  ) => {
    const object = await findObject(tx, sha256)
    if (!object || object.location !== from) return false
    await tx
      .updateTable('objects')
      .set({ datastore: to.datastore, location: to.location, lost_at: null, damaged_at: null })
      .where('sha256', '=', sha256)
      .execute()
    if (object.datastore === to.datastore) return true
    const { size } = object
    await countUsage(tx, [
      {
        subject: `datastore:${object.datastore}`,
        changeId: `${from} lost, now ${to.location}`,
        bytes: -size,
        files: -1,
      },
      { subject: `datastore:${to.datastore}`, changeId: `${to.location} for ${from}`, bytes: size, files: 1 },
    ])
    return true
  },
)

/** Up to `limit` other places at which MMR has some content. */
export const otherPlaces = compiled((db, of: { sha256: string; location: string; limit: number }) =>
  db
    .selectFrom('mmr_places')
    .select(['datastore', 'location'])
    .where('sha256', '=', of.sha256)
    .where('location', '!=', of.location)
    .limit(of.limit),
)

const KEPT_MS = 10 * 60_000

async function handOverUnnamed(
  tx: Queryable,
  places: readonly { datastore: string; location: string }[],
): Promise<number> {
  if (places.length === 0) return 0
  const rows = places.map(({ datastore, location }) => ({ datastore, location }))
  const named = await tx
    .selectFrom(given(tx, rows, { datastore: 'text', location: 'text' }).as('given'))
    .innerJoin('objects', (join) =>
      join.onRef('objects.datastore', '=', 'given.datastore').onRef('objects.location', '=', 'given.location'),
    )
    .select(['objects.datastore as datastore', 'objects.location as location'])
    .execute()
  const ours = new Set(named.map(keyOf))
  const free = rows.filter((place) => !ours.has(keyOf(place)))
  await handOverAll(tx, free, KEPT_MS)
  return free.length
}

const keyOf = ({ datastore, location }: { datastore: string; location: string }) =>
  JSON.stringify([datastore, location])

/** Forgets places when all is finished, and hands those over for deletion that are nobody's. Gives how many those are. */
export const freePlaces = unit(
  'freeMmrPlaces',
  async (tx, places: readonly { datastore: string; location: string }[]): Promise<number> => {
    for (const { datastore, location } of places) {
      await tx.deleteFrom('mmr_places').where('datastore', '=', datastore).where('location', '=', location).execute()
    }
    return await handOverUnnamed(tx, places)
  },
)

/** Forgets names, when all is finished. */
export const forgetNames = unit('forgetMmrNames', async (tx, names: readonly MmrName[]): Promise<void> => {
  for (const { origin, mediaId } of names) {
    await tx.deleteFrom('mmr_media').where('origin', '=', origin).where('media_id', '=', mediaId).execute()
  }
})
