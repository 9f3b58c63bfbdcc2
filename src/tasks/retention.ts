import type { Candidate } from '../db/candidates.ts'
import type { JsonObject } from '../db/json.ts'
import type { MediaKind } from '../db/schema.ts'
import { mediaExpired } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'
import { type Expiry, type ExpiryCounts, expireMedia, type ExpiryParts, NONE } from '../media/expiry.ts'
import { expiryOf } from '../media/retention.ts'
import type { Retention } from '../media/retention-rules.ts'
import type { Job, Ran } from './schedule.ts'

export interface RetentionJobParts extends ExpiryParts {
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

const HOUR_MS = 3_600_000
/** A run looks at so many media, or thumbnails, or previews; what is left has its turn after a pause. */
export const MOST_IN_A_RUN = 50_000
export const PAUSE_MS = 10_000

/** How far a round through all media is, and what came of it until now. */
type Round = ExpiryCounts & {
  /** The last that was looked at; null: the round is over. */
  readonly after: Pick<Candidate, keyof Candidate> | null
  /** The options that it goes by, as text: others begin a new round. */
  readonly options: string
}

/** What removes media that were not used for long, as `retention()` says: of other servers, and of our users. */
export function retentionJobs(
  parts: RetentionJobParts,
  retention: () => Retention,
  most: number = MOST_IN_A_RUN,
): readonly Job[] {
  const job = (name: string, kind: MediaKind, options: () => unknown): Job => ({
    name,
    everyMs: HOUR_MS,
    async run({ signal, last }) {
      const expiry = expiryOf(parts, kind, retention())
      return expiry && (await goRound(parts, expiry, { last, options: JSON.stringify(options()), most }, signal))
    },
  })
  return [
    job('remote expiry', 'remote', () => retention().remoteDays),
    job('local retention', 'upload', () => retention().local),
    job('preview pictures', 'preview', () => retention().previewDays),
  ]
}

interface Rounds {
  readonly last: JsonObject | undefined
  readonly options: string
  readonly most: number
}

/** Goes on with the round that the last run did not finish, if it went by the same options; else begins one. */
async function goRound(
  parts: RetentionJobParts,
  expiry: Expiry,
  { last, options, most }: Rounds,
  signal: AbortSignal,
): Promise<Ran> {
  const begun = last as Round | undefined
  const before = begun?.after && begun.options === options ? begun : undefined
  const from = before?.after ?? undefined
  const { after, ...counts } = await expireMedia(parts, expiry, { from, most }, signal)
  if (counts.removed > 0) mediaExpired(parts.events, { kind: expiry.kind, ...counts })
  const { looked, removed, bytes, objects } = before ?? NONE
  const report: Round = {
    looked: looked + counts.looked,
    removed: removed + counts.removed,
    bytes: bytes + counts.bytes,
    objects: objects + counts.objects,
    after,
    options,
  }
  return after ? { report, againInMs: PAUSE_MS } : { report }
}
