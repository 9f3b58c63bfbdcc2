import { compiled, type Queryable, unit } from './query.ts'
import type { MediaName } from './quarantine-changes.ts'

/** Media that an import could not take, and why. */
export interface ImportProblem extends MediaName {
  /** One word for each kind: `missing`, `damaged`, … */
  readonly problem: string
  /** What was found, for people; may be empty. */
  readonly details: string
}

/** Rows a statement. */
const AT_ONCE = 500

/** Notes them, inside a transaction, in the place of what was said of the same media before. */
export async function noteProblems(tx: Queryable, source: string, problems: readonly ImportProblem[]): Promise<void> {
  for (let begin = 0; begin < problems.length; begin += AT_ONCE) {
    const rows = problems
      .slice(begin, begin + AT_ONCE)
      .map(({ origin, mediaId, problem, details }) => ({ source, origin, media_id: mediaId, problem, details }))
    await tx
      .insertInto('import_problems')
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(['source', 'origin', 'media_id']).doUpdateSet((is) => ({
          problem: is.ref('excluded.problem'),
          details: is.ref('excluded.details'),
        })),
      )
      .execute()
  }
}

/** Forgets what earlier runs said: a new one finds out anew. At most `limit`; gives how many that were. */
export const forgetProblems = unit(
  'forgetProblems',
  async (tx, { source, limit }: { source: string; limit: number }): Promise<number> => {
    const some = await problemsOf(tx, { source, after: { origin: '', mediaId: '' }, limit })
    const last = some.at(-1)
    if (!last) return 0
    await tx
      .deleteFrom('import_problems')
      .where('source', '=', source)
      .where((is) =>
        is.or([
          is('origin', '<', last.origin),
          is.and([is('origin', '=', last.origin), is('media_id', '<=', last.mediaId)]),
        ]),
      )
      .execute()
    return some.length
  },
)

/** Up to `limit` of them behind the name `after`, in the order of their names. */
export const problemsOf = async (
  db: Queryable,
  { source, after, limit }: { source: string; after: MediaName; limit: number },
): Promise<ImportProblem[]> => await problemsAfter(db, { source, ...after, limit })

const problemsAfter = compiled((db, from: { source: string; origin: string; mediaId: string; limit: number }) =>
  db
    .selectFrom('import_problems')
    .select(['origin', 'media_id as mediaId', 'problem', 'details'])
    .where('source', '=', from.source)
    .where((is) =>
      is.or([
        is('origin', '>', from.origin),
        is.and([is('origin', '=', from.origin), is('media_id', '>', from.mediaId)]),
      ]),
    )
    .orderBy('origin')
    .orderBy('media_id')
    .limit(from.limit),
)
