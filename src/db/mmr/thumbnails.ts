import { given, type Queryable, unit } from '../query.ts'
import { thumbnailsOfServer } from '../thumbnails.ts'
import { addUsage } from '../usage.ts'
import { addObjects, addPlaces, lockSizes, type PlacedObject } from './objects.ts'
import { noteStep, type TakeOverStep } from './state.ts'

/** A row of MMR's `thumbnails` in our words. */
export interface TakenThumbnail extends PlacedObject {
  readonly sourceSha256: string
  readonly width: number
  readonly height: number
  readonly method: string
  readonly variant: string
  readonly contentType: string
  readonly createdAt: number
  /** The server for whose media it was made. */
  readonly madeFor: string
}

/**
 * Brings thumbnails here whose sources are here, and that we have not made ourselves; the places of `kept` are only kept. Gives how many
 * came; undefined: the lease is lost, nothing was done.
 */
export const takeOverThumbnails = unit(
  'takeOverThumbnails',
  async (
    tx,
    {
      thumbnails,
      kept,
      now,
      step,
    }: {
      thumbnails: readonly TakenThumbnail[]
      kept: readonly PlacedObject[]
      now: number
      step?: TakeOverStep | undefined
    },
  ): Promise<number | undefined> => {
    if (!(await noteStep(tx, step))) return undefined
    await addPlaces(tx, [...thumbnails, ...kept])
    const there = await lockSizes(
      tx,
      thumbnails.map(({ sourceSha256 }) => sourceSha256),
    )
    const coming = thumbnails.filter(({ sourceSha256 }) => there.has(sourceSha256))
    await addObjects(tx, coming, now)
    return await addRows(tx, coming)
  },
)

const COLUMNS = {
  source_sha256: 'text',
  width: 'bigint',
  height: 'bigint',
  method: 'text',
  variant: 'text',
  sha256: 'text',
  content_type: 'text',
  created_at: 'bigint',
  made_for: 'text',
} as const

async function addRows(tx: Queryable, coming: readonly TakenThumbnail[]): Promise<number> {
  if (coming.length === 0) return 0
  const rows = coming.map((one) => ({
    source_sha256: one.sourceSha256,
    width: one.width,
    height: one.height,
    method: one.method,
    variant: one.variant,
    sha256: one.sha256,
    content_type: one.contentType,
    created_at: one.createdAt,
    made_for: one.madeFor,
  }))
  const names = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[]
  const added = await tx
    .insertInto('thumbnails')
    .columns(names)
    .expression(
      tx
        .selectFrom(given(tx, rows, COLUMNS).as('given'))
        .select(names)
        .where((is) =>
          is.exists(is.selectFrom('objects').select('size').whereRef('objects.sha256', '=', 'given.sha256')),
        ),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning(['sha256', 'made_for as madeFor'])
    .execute()
  const sizes = new Map(coming.map(({ sha256, size }) => [sha256, size]))
  await addUsage(
    tx,
    added.flatMap(({ sha256, madeFor }) =>
      madeFor === null ? [] : [{ subject: thumbnailsOfServer(madeFor), bytes: sizes.get(sha256) ?? 0, files: 1 }],
    ),
  )
  return added.length
}
