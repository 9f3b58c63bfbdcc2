import { type CommitResult, type CommittedMedia, commitMedia } from './media.ts'
import { quarantineContent } from './moderation.ts'
import { type Queryable, unit } from './query.ts'
import { commitFetched, type FetchedMedia, type FetchedResult } from './remote.ts'
import { insertReports, type NewReport } from './reports.ts'

/** What gates said of a file that is kept all the same. */
export interface Judged {
  /** Nobody is to have it: its content is quarantined under all its names. */
  readonly quarantine: boolean
  readonly reports: readonly NewReport[]
}

export type JudgedResult<Result> = Result & {
  /** How many names were quarantined. */
  readonly names: number
}

/** Commits an upload that gates had something to say of, and what they said, in one transaction. */
export const commitJudgedMedia = unit(
  'commitJudgedMedia',
  async (tx, { media, ...judged }: Judged & { readonly media: CommittedMedia }): Promise<JudgedResult<CommitResult>> =>
    await noteJudged(tx, media, judged, await commitMedia.run(tx, media)),
)

/** The same for a file of another server. */
export const commitJudgedFetched = unit(
  'commitJudgedFetched',
  async (tx, { media, ...judged }: Judged & { readonly media: FetchedMedia }): Promise<JudgedResult<FetchedResult>> =>
    await noteJudged(tx, media, judged, await commitFetched.run(tx, media)),
)

async function noteJudged<Result extends CommitResult | FetchedResult>(
  tx: Queryable,
  media: { readonly mediaId: string; readonly createdAt: number },
  { quarantine, reports }: Judged,
  result: Result,
): Promise<JudgedResult<Result>> {
  if (!('object' in result)) return { ...result, names: 0 }
  // The same upload as one of before has the name of then.
  const mediaId = 'mediaId' in result ? result.mediaId : media.mediaId
  await insertReports(
    tx,
    reports.map((report) => ({ ...report, mediaId })),
  )
  if (!quarantine) return { ...result, names: 0 }
  const { sha256 } = result.object
  return { ...result, names: await quarantineContent.run(tx, { sha256, origin: null, at: media.createdAt }) }
}
