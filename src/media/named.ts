import { setTimeout as pause } from 'node:timers/promises'
import type { Actor, What } from '../db/audit.ts'
import { deleteNames, type DeletionRules, type Name } from '../db/deletion.ts'
import type { StoredObject } from '../db/objects.ts'
import { Refused } from '../lib/errors.ts'
import { manyModerated } from '../lib/administration-events.ts'
import { audited } from './audit.ts'
import type { ModerationParts } from './moderation.ts'
import { announceChanged } from './records.ts'

/** What is gone. */
export interface Gone {
  readonly names: readonly Name[]
  /** Of their content, each name counted. */
  readonly bytes: number
}

/** Names of a transaction: their contents fit in one announcement. */
const AT_ONCE = 100
const TRY_AGAIN_MS = 5000
/** How long a page waits for its bytes to be deleted, in ms. They were handed over already: what is not deleted now is later. */
const BYTES_WAIT_MS = 2000

/**
 * Deletes those of the named media that the rules let go, and their contents with the last of their names. When it resolves, no
 * instance serves them any more.
 *
 * @throws {Refused} `storage_unavailable` when it is done but other instances could not be told
 */
export async function deleteNamed(parts: ModerationParts, names: readonly Name[], rules: DeletionRules): Promise<Gone> {
  let all: Gone = { names: [], bytes: 0 }
  for (let begin = 0; begin < names.length; begin += AT_ONCE) {
    const page = names.slice(begin, begin + AT_ONCE)
    const result = await parts.db.write(deleteNames, { names: page, rules, at: parts.clock.now() })
    if (result.deleted.length > 0) await tell(parts, result.sha256s)
    await Promise.race([deleteBytes(parts, result.unused), pause(BYTES_WAIT_MS, undefined, { ref: false })])
    all = { names: [...all.names, ...result.deleted], bytes: all.bytes + result.bytes }
  }
  return all
}

/** Keeps a line in the audit log, and tells of it, when `work` deletes media in however many transactions. */
export async function auditedDeletion(
  parts: ModerationParts,
  actor: Actor,
  what: What,
  work: () => Promise<Gone>,
): Promise<Gone> {
  const { gone } = await audited(parts, actor, what, async () => {
    const deleted = await work()
    const { names, bytes } = deleted
    const told = { subject: what.subject, by: actor.by, names: names.length, bytes, kept: 0 }
    manyModerated(parts.events, { verb: 'purge', ...told })
    return { affected: names.length, gone: deleted }
  })
  return gone
}

async function tell({ notifier, events }: ModerationParts, sha256s: readonly string[]): Promise<void> {
  try {
    await announceChanged(notifier, sha256s)
  } catch (cause) {
    events.log.error({ err: cause }, 'media were deleted, but other instances could not be told')
    const message = 'It is done, but other instances could not be told and may not act by it yet: please try again'
    throw new Refused('storage_unavailable', message, { cause, retryAfterMs: TRY_AGAIN_MS })
  }
}

async function deleteBytes({ datastores, events }: ModerationParts, objects: readonly StoredObject[]): Promise<void> {
  for (const object of objects) {
    try {
      await datastores.delete(object)
    } catch (error) {
      const { datastore, location } = object
      events.log.warn(
        { err: error, datastore, location },
        'could not delete the bytes of deleted media; it is tried again',
      )
    }
  }
}
