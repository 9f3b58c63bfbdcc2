import { type BulkOutcome, moderateMany } from '../../media/bulk-request.ts'
import type { Selection } from '../../media/bulk-selection.ts'
import type { Moderator } from '../../media/moderation.ts'
import { actorOf } from '../admin/moderator.ts'
import type { Call } from '../call.ts'
import { integer } from '../json-schema.ts'
import type { HttpParts } from '../parts.ts'

export interface Many {
  readonly verb: 'quarantine' | 'purge'
  /** For the audit log. */
  readonly action: string
  readonly subject: string
  readonly selection: Selection
  /** In ms since 1970; null: whatever there is by now. */
  readonly before: number | null
  readonly moderator: Moderator
}

/** Does with many media what is asked for; what takes long goes on as a task. */
export async function actOnMany(parts: HttpParts, call: Call, many: Many): Promise<BulkOutcome> {
  const { verb, action, subject, selection, before } = many
  const { everywhere, serverName, userId = null } = many.moderator
  const wish = {
    verb,
    selection,
    before: before ?? parts.clock.now() + 1,
    within: { everywhere, serverName, userId },
  }
  return await moderateMany(parts, wish, { actor: actorOf(call), action, subject }, call)
}

/** Beside Synapse's answer, where that is not all. */
export const unfinished = {
  task_id: integer('The task that does the rest, where that is not all: what takes longer than 20 s goes on as one.'),
}
export const restOf = ({ taskId }: BulkOutcome) => (taskId === null ? {} : { task_id: taskId })
