import { sql } from '#kysely'
import { compiled, given, type Queryable, unit } from '../query.ts'
import type { MmrName } from './pages.ts'

/** Why something could not be brought here, or is not as MMR says. */
export type MmrProblem =
  /** Its datastore is not configured. */
  | 'no datastore'
  /** MMR has no usable hash of it. */
  | 'no hash'
  /** Its bytes are not where MMR says; noted by whoever looks for them. */
  | 'lost'
  /** It should be here, and is not, or otherwise. */
  | 'differs'

export interface NotedProblem extends MmrName {
  readonly problem: MmrProblem
  readonly detail: string
}

/** Notes problems; those of a name that are known already get the new detail. */
export const noteProblems = unit('noteMmrProblems', async (tx, problems: readonly NotedProblem[]): Promise<void> => {
  if (problems.length === 0) return
  const rows = [...new Map(problems.map((one) => [`${one.problem} ${one.origin}/${one.mediaId}`, one])).values()].map(
    ({ mediaId: media_id, ...rest }) => ({ ...rest, media_id }),
  )
  const columns = { problem: 'text', origin: 'text', media_id: 'text', detail: 'text' } as const
  const names = ['problem', 'origin', 'media_id', 'detail'] as const
  await tx
    .insertInto('mmr_problems')
    .columns([...names])
    .expression(
      tx
        .selectFrom(given(tx, rows, columns).as('given'))
        .select([...names])
        .where(sql<boolean>`true`),
    )
    .onConflict((conflict) =>
      conflict.columns(['problem', 'origin', 'media_id']).doUpdateSet({ detail: sql<string>`excluded.detail` }),
    )
    .execute()
})

/** Forgets problems of some kinds: they are looked for anew. */
export const forgetProblems = unit('forgetMmrProblems', async (tx, problems: readonly MmrProblem[]): Promise<void> => {
  await tx
    .deleteFrom('mmr_problems')
    .where('problem', 'in', [...problems])
    .execute()
})

/** The next problems, by kind and name. */
export const problemsPage = compiled((db, page: { problem: string; origin: string; mediaId: string; limit: number }) =>
  db
    .selectFrom('mmr_problems')
    .select(['problem', 'origin', 'media_id as mediaId', 'detail'])
    .where(sql<boolean>`(problem, origin, media_id) > (${page.problem}, ${page.origin}, ${page.mediaId})`)
    .orderBy('problem')
    .orderBy('origin')
    .orderBy('media_id')
    .limit(page.limit),
)

/** What stands between MMR's records and ours. */
export interface TakeOverCounts {
  /** Rows of MMR's `media` that were seen, without copies of thumbnails. */
  readonly names: number
  readonly thumbnailCopies: number
  /** Places that are kept for MMR. */
  readonly places: number
  /** Places more than contents: the same bytes stored twice. */
  readonly duplicates: number
  /** Uploaded through us: MMR would not see these. */
  readonly uploadedHere: number
  /** Came from MMR and was deleted here: MMR would still have these. */
  readonly deletedHere: number
  /** Quarantined here and not in MMR: it would serve these. */
  readonly quarantinedHere: number
  readonly problems: Readonly<Partial<Record<MmrProblem, number>>>
}

const COUNT = sql<number>`cast(count(*) as bigint)`

/** How many rows of MMR's `media` were seen, copies of thumbnails too. */
export async function countSeen(db: Queryable): Promise<number> {
  const { all } = await db
    .selectFrom('mmr_media')
    .select([COUNT.as('all')])
    .executeTakeFirstOrThrow()
  return all
}

/** Goes through everything: for millions of records that takes seconds. */
export async function countTakeOver(db: Queryable): Promise<TakeOverCounts> {
  const seen = await db
    .selectFrom('mmr_media')
    .select([COUNT.as('all'), sql<number>`cast(coalesce(sum(flags / 8), 0) as bigint)`.as('thumbnails')])
    .executeTakeFirstOrThrow()
  const places = await db
    .selectFrom('mmr_places')
    .select([COUNT.as('all')])
    .executeTakeFirstOrThrow()
  const known = await db
    .selectFrom('mmr_places')
    .select([sql<number>`cast(count(*) - count(distinct sha256) as bigint)`.as('more')])
    .where('sha256', '!=', '')
    .executeTakeFirstOrThrow()
  const problems = await db
    .selectFrom('mmr_problems')
    .select(['problem', COUNT.as('all')])
    .groupBy('problem')
    .execute()
  const [uploaded, deleted, quarantined] = [
    await notInMmr(db).select(COUNT.as('all')).executeTakeFirstOrThrow(),
    await notHere(db).select(COUNT.as('all')).executeTakeFirstOrThrow(),
    await onlyQuarantinedHere(db).select(COUNT.as('all')).executeTakeFirstOrThrow(),
  ]
  return {
    names: seen.all - seen.thumbnails,
    thumbnailCopies: seen.thumbnails,
    places: places.all,
    duplicates: known.more,
    uploadedHere: uploaded.all,
    deletedHere: deleted.all,
    quarantinedHere: quarantined.all,
    problems: Object.fromEntries(problems.map(({ problem, all }) => [problem, all])),
  }
}

const notInMmr = (db: Queryable) =>
  db
    .selectFrom('media')
    .leftJoin('mmr_media', (join) =>
      join.onRef('mmr_media.origin', '=', 'media.origin').onRef('mmr_media.media_id', '=', 'media.media_id'),
    )
    .where('media.kind', '=', 'upload')
    .where('mmr_media.media_id', 'is', null)

const notHere = (db: Queryable) =>
  db
    .selectFrom('mmr_media')
    .leftJoin('media', (join) =>
      join.onRef('mmr_media.origin', '=', 'media.origin').onRef('mmr_media.media_id', '=', 'media.media_id'),
    )
    .where('mmr_media.flags', '<', 8)
    .where('media.media_id', 'is', null)

const onlyQuarantinedHere = (db: Queryable) =>
  db
    .selectFrom('media')
    .innerJoin('mmr_media', (join) =>
      join.onRef('mmr_media.origin', '=', 'media.origin').onRef('mmr_media.media_id', '=', 'media.media_id'),
    )
    .where('media.quarantined_at', 'is not', null)
    .where(sql<boolean>`mmr_media.flags % 2 = 0`)

export interface UploadedHere extends MmrName {
  readonly uploader: string | null
  /** In ms since 1970. */
  readonly createdAt: number
}

/** The next of what was uploaded through us and MMR has no record of, in the order of names. */
export async function uploadedHere(
  db: Queryable,
  { after, limit }: { readonly after: MmrName; readonly limit: number },
): Promise<UploadedHere[]> {
  return await notInMmr(db)
    .select(['media.origin', 'media.media_id as mediaId', 'media.uploader', 'media.created_at as createdAt'])
    .where(sql<boolean>`(media.origin, media.media_id) > (${after.origin}, ${after.mediaId})`)
    .orderBy('media.origin')
    .orderBy('media.media_id')
    .limit(limit)
    .execute()
}
