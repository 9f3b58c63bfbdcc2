import type { ExpiryPreview } from '../../media/expiry.ts'
import { previewRetention } from '../../media/retention.ts'
import { type LocalRule, type Retention, retentionOf } from '../../media/retention-rules.ts'
import { formatMxc } from '../../matrix/ids.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { boolean, integer, list, object, orNull, string } from '../json-schema.ts'
import { each, text, whole } from '../parameters.ts'

/** So that times in ms stay numbers that databases have. */
const MOST_DAYS = 100_000

const days = (of: string) =>
  whole({ description: `${of}, in days; 0: never. Not given: as configured.`, fallback: null, max: MOST_DAYS })

const query = {
  remote_days: days('`downloads.expireAfterDays`'),
  thumbnail_days: days('`thumbnails.expireAfterDays`'),
  preview_days: days('`urlPreviews.expireAfterDays`'),
  older_than_days: whole({
    description: 'With this, one rule for local media is tried in place of those of `retention.local`.',
    fallback: null,
    min: 1,
    max: MOST_DAYS,
  }),
  larger_than_bytes: whole({ description: 'Of that rule.', fallback: 0 }),
  type: each(text({ description: 'Of that rule; may be given several times.' })),
  user: each(text({ description: 'Of that rule; may be given several times.' })),
  server: each(text({ description: 'Of that rule; may be given several times.' })),
}

const expiry = object({
  files: integer('How many media would go.'),
  bytes: integer('Their bytes; each name of some content counts.'),
  looked: integer('How many were looked at: those that were not used for as long as one of the rules says.'),
  by_rule: list(object({ files: integer('By this rule.'), bytes: integer('By this rule.') })),
  examples: list(string('An MXC URI.')),
  is_complete: boolean('False: there are so many that not all were looked at.'),
})
const counted = {
  count: integer('How many would go.'),
  is_complete: boolean('False: there are at least so many.'),
}

/** Not in MMR. */
export const preview = described(
  {
    summary: 'Counts what retention would remove now, as configured or by other rules, and changes nothing',
    details: 'What is null is kept for ever.',
    chapter: 'Retention',
    query,
    answer: object({
      remote: orNull(expiry),
      local: orNull(expiry),
      thumbnails: orNull(object({ ...counted, bytes: integer('Their bytes.') })),
      previews: orNull(object(counted)),
    }),
  },
  async (parts, call, given) => {
    const retention = tried(retentionOf(parts.config().main), given.query)
    const { remote, local, thumbnails, previews } = await previewRetention(parts, retention, call.signal)
    return json({
      remote: remote ? shown(remote) : null,
      local: local ? shown(local) : null,
      thumbnails: thumbnails ? counts(thumbnails) : null,
      previews: previews ? counts(previews) : null,
    })
  },
)

interface Tried {
  readonly remote_days: number | null
  readonly thumbnail_days: number | null
  readonly preview_days: number | null
  readonly older_than_days: number | null
  readonly larger_than_bytes: number
  readonly type: readonly string[]
  readonly user: readonly string[]
  readonly server: readonly string[]
}

function tried(configured: Retention, wish: Tried): Retention {
  return {
    remoteDays: wish.remote_days ?? configured.remoteDays,
    thumbnailDays: wish.thumbnail_days ?? configured.thumbnailDays,
    previewDays: wish.preview_days ?? configured.previewDays,
    local: wish.older_than_days === null ? configured.local : [ruleOf(wish, wish.older_than_days)],
  }
}

const ruleOf = (wish: Tried, olderThanDays: number): LocalRule => ({
  olderThanDays,
  largerThanBytes: wish.larger_than_bytes,
  types: wish.type,
  users: wish.user,
  servers: wish.server,
})

const shown = ({ files, bytes, looked, byRule, names, isComplete }: ExpiryPreview) => ({
  files,
  bytes,
  looked,
  by_rule: byRule,
  examples: names.map(formatMxc),
  is_complete: isComplete,
})

const counts = <Counts extends { readonly isComplete: boolean }>({ isComplete, ...rest }: Counts) => ({
  ...rest,
  is_complete: isComplete,
})
