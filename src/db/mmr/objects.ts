import { sql } from '#kysely'
import { given, type GivenColumns, type Queryable } from '../query.ts'
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
 * of one content, the first counts.
 */
export async function addObjects(tx: Queryable, objects: readonly PlacedObject[], now: number): Promise<void> {
  if (objects.length === 0) return
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
    .returning(['datastore', 'size'])
    .execute()
  await addUsage(
    tx,
    added.map(({ datastore, size }) => ({ subject: `datastore:${datastore}`, bytes: size, files: 1 })),
  )
}

function distinctBy<Item>(items: readonly Item[], key: (item: Item) => string): Item[] {
  return [...new Map(items.toReversed().map((item) => [key(item), item])).values()]
}
