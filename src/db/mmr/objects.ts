import { sql } from '#kysely'
import { given, type GivenColumns, isPostgres, type Queryable } from '../query.ts'
import { addUsage } from '../usage.ts'

/** The columns of `media` that are brought here, with their types. */
export const MEDIA_COLUMNS = {
  origin: 'text',
  media_id: 'text',
  sha256: 'text',
  kind: 'text',
  content_type: 'text',
  upload_name: 'text',
  uploader: 'text',
  created_at: 'bigint',
  accessed_at: 'bigint',
  authenticated_at: 'bigint',
  quarantined_at: 'bigint',
  protected_at: 'bigint',
} as const

/** Some content, and where MMR has it. */
export interface PlacedObject {
  /** Empty: not known. */
  readonly sha256: string
  readonly size: number
  readonly datastore: string
  readonly location: string
}

const PLACE_COLUMNS: GivenColumns<{ datastore: string; location: string; sha256: string }> = {
  datastore: 'text',
  location: 'text',
  sha256: 'text',
}

/** Notes places that MMR names: nothing deletes what is there. */
export async function addPlaces(
  tx: Queryable,
  places: readonly Pick<PlacedObject, 'sha256' | 'datastore' | 'location'>[],
): Promise<void> {
  if (places.length === 0) return
  const rows = distinctBy(places, ({ datastore, location }) => JSON.stringify([datastore, location]))
  await tx
    .insertInto('mmr_places')
    .columns(['datastore', 'location', 'sha256'])
    .expression(
      tx
        .selectFrom(
          given(
            tx,
            rows.map(({ datastore, location, sha256 }) => ({ datastore, location, sha256 })),
            PLACE_COLUMNS,
          ).as('given'),
        )
        .select(['datastore', 'location', 'sha256'])
        .where(sql<boolean>`true`)
        .orderBy('datastore')
        .orderBy('location'),
    )
    .onConflict((conflict) => conflict.columns(['datastore', 'location']).doNothing())
    .execute()
}

/**
 * Adopts contents where MMR has them, those that are not stored here already. Of two contents said to be at one place, and of two places
 * of one content, the first counts. Gives those that were not here before, with their sizes: until this transaction ends nobody else has them.
 */
export async function addObjects(
  tx: Queryable,
  objects: readonly PlacedObject[],
  now: number,
): Promise<ReadonlyMap<string, number>> {
  if (objects.length === 0) return new Map()
  const rows = distinctBy(objects, ({ sha256 }) => sha256).map(({ sha256, size, datastore, location }) => ({
    sha256,
    size,
    datastore,
    location,
    created_at: now,
  }))
  const names = ['sha256', 'size', 'datastore', 'location', 'created_at'] as const
  const added = await tx
    .insertInto('objects')
    .columns([...names])
    .expression(
      tx
        .selectFrom(given(tx, rows, { ...PLACE_COLUMNS, size: 'bigint', created_at: 'bigint' }).as('given'))
        .select([...names])
        .where(sql<boolean>`true`)
        .orderBy('sha256'),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning(['sha256', 'datastore', 'size'])
    .execute()
  await addUsage(
    tx,
    added.map(({ datastore, size }) => ({ subject: `datastore:${datastore}`, bytes: size, files: 1 })),
  )
  return new Map(added.map(({ sha256, size }) => [sha256, size]))
}

/**
 * Locks those contents that are here, as `lockObjects`, and gives their sizes. For hundreds at a time: PostgreSQL would rather go through the
 * whole table than look so many up, did it know how many they are.
 */
export async function lockSizes(tx: Queryable, sha256s: readonly string[]): Promise<ReadonlyMap<string, number>> {
  if (sha256s.length === 0) return new Map()
  const wanted = given(tx, hashRows(sha256s), HASH_COLUMN).as('given')
  const query = tx
    .selectFrom(wanted)
    .innerJoin('objects', 'objects.sha256', 'given.sha256')
    .select(['objects.sha256 as sha256', 'objects.size as size'])
    .orderBy('objects.sha256')
  const rows = await (isPostgres(tx) ? query.forUpdate('objects') : query).execute()
  return new Map(rows.map(({ sha256, size }) => [sha256, size]))
}

/** Contents that are quarantined under any name: mostly none. Looked up as above. */
export async function quarantinedOf(tx: Queryable, sha256s: readonly string[]): Promise<ReadonlySet<string>> {
  if (sha256s.length === 0) return new Set()
  const rows = await tx
    .selectFrom(given(tx, hashRows(sha256s), HASH_COLUMN).as('given'))
    .innerJoin('media', 'media.sha256', 'given.sha256')
    .select('media.sha256 as sha256')
    .distinct()
    .where('media.quarantined_at', 'is not', null)
    .execute()
  return new Set(rows.map(({ sha256 }) => sha256))
}

const HASH_COLUMN = { sha256: 'text' } as const
const hashRows = (sha256s: readonly string[]) => [...new Set(sha256s)].map((sha256) => ({ sha256 }))

function distinctBy<Item>(items: readonly Item[], key: (item: Item) => string): Item[] {
  return [...new Map(items.toReversed().map((item) => [key(item), item])).values()]
}
