import { setTimeout as pause } from 'node:timers/promises'
import type { Notifier } from '../coordination/notifier.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import type { Actor } from '../db/audit.ts'
import { findMedia } from '../db/media.ts'
import { deleteMedia } from '../db/deletion.ts'
import { findContent, quarantineContent, releaseContent } from '../db/moderation.ts'
import type { StoredObject } from '../db/objects.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { mediaDeleted, mediaQuarantined, mediaReleased } from '../lib/administration-events.ts'
import type { EventParts } from '../lib/events.ts'
import { formatMxc, type Mxc } from '../matrix/ids.ts'
import { auditedWrite } from './audit.ts'
import { announceChanged } from './records.ts'

export interface ModerationParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'delete'>
  readonly notifier: Pick<Notifier, 'announce'>
  readonly events: EventParts
  readonly clock: Clock
}

const TRY_AGAIN_MS = 5000
/** Whoever deletes waits so long for the bytes, in ms. Nothing serves them any more, and they are handed over already. */
const BYTES_WAIT_MS = 2000

/** Who moderates, and what that person may decide about. */
export interface Moderator {
  readonly userId: string | undefined
  /** Administers the whole repository. */
  readonly everywhere: boolean
  /** Administers this homeserver, for what concerns media of its own; null for nobody's administrator. */
  readonly serverName: string | null
  /** For the audit log; null for the program itself, which keeps no lines. */
  readonly actor: Actor | null
}

/**
 * Quarantines the content of some media under all its names; an administrator of one homeserver only under those of that
 * server. Gives how many names there were. When it resolves, no instance serves them any more.
 *
 * @throws {Refused} `forbidden`, also for media of a server that the moderator does not administer
 */
export async function quarantine(parts: ModerationParts, moderator: Moderator, mxc: Mxc): Promise<number> {
  const origin = moderator.everywhere ? null : moderator.serverName
  if (!moderator.everywhere && origin === null) {
    const whose = 'administrators of the repository, and of a homeserver with quarantine.allowLocalAdmins'
    throw new Refused('forbidden', `Only ${whose}, may quarantine media`)
  }
  if (origin !== null && origin !== mxc.origin) {
    throw new Refused('forbidden', 'unable to quarantine media on other homeservers')
  }
  const sha256 = await findContent(parts.db.read, mxc)
  if (sha256 === undefined) return 0
  const { actor } = moderator
  const what = { action: 'quarantine_media', subject: formatMxc(mxc) }
  const content = { sha256, origin, at: parts.clock.now(), by: moderator.userId ?? null }
  const names = await auditedWrite(parts, actor, what, quarantineContent, content, (count) => count)
  // Also when it was quarantined before: whoever did that may have ended before telling the others.
  await tell(parts, sha256)
  mediaQuarantined(parts.events, { mxc: formatMxc(mxc), sha256, names, by: moderator.userId })
  return names
}

/**
 * Ends the quarantine of the content of some media, under all its names, and gives how many there were. What was deleted
 * meanwhile stays deleted; its bytes may be uploaded again.
 *
 * @throws {Refused} `forbidden` to all but administrators of the repository: it may have been one of them who decided
 */
export async function release(parts: ModerationParts, moderator: Moderator, mxc: Mxc): Promise<number> {
  if (!moderator.everywhere) {
    throw new Refused('forbidden', 'Only administrators of the repository (admins) may end a quarantine')
  }
  const sha256 = await findContent(parts.db.read, mxc)
  if (sha256 === undefined) return 0
  const what = { action: 'release_media', subject: formatMxc(mxc) }
  const names = await auditedWrite(parts, moderator.actor, what, releaseContent, { sha256 }, (count) => count)
  await tell(parts, sha256)
  mediaReleased(parts.events, { mxc: formatMxc(mxc), sha256, names, by: moderator.userId })
  return names
}

/**
 * Deletes some media for good, and its content with the last of its names. Users may delete what they uploaded, administrators
 * of a homeserver what belongs to it. When it resolves, no instance serves it any more. What is not there is fine.
 *
 * @throws {Refused} `forbidden`, also for what is protected
 */
export async function remove(parts: ModerationParts, moderator: Moderator, mxc: Mxc): Promise<number> {
  const { origin, mediaId } = mxc
  const record = await findMedia(parts.db.read, origin, mediaId)
  if (!record) {
    await tellAgain(parts, mxc)
    return 0
  }
  const isTheirs =
    moderator.everywhere ||
    moderator.serverName === origin ||
    (record.uploader !== null && record.uploader === moderator.userId)
  if (!isTheirs) throw new Refused('forbidden', 'Only administrators, and whoever uploaded it, may delete this')
  const what = { action: 'purge_individual_media', subject: formatMxc(mxc) }
  const name = { origin, mediaId, at: parts.clock.now() }
  const result = await auditedWrite(parts, moderator.actor, what, deleteMedia, name, ({ outcome }) =>
    outcome === 'deleted' ? 1 : 0,
  )
  await tell(parts, record.sha256)
  if (result.outcome === 'not_found') return 0
  if (result.outcome === 'protected') throw new Refused('forbidden', 'This media is protected (pinned): end that first')
  await Promise.race([deleteAll(parts, result.unused), pause(BYTES_WAIT_MS, undefined, { ref: false })])
  const { unused, sha256 } = result
  mediaDeleted(parts.events, { mxc: formatMxc(mxc), sha256, objects: unused.length, by: moderator.userId })
  return record.size
}

/** Resolves once no instance goes by what was before. */
async function tell({ notifier, events }: ModerationParts, sha256: string): Promise<void> {
  try {
    await announceChanged(notifier, [sha256])
  } catch (cause) {
    events.log.error({ err: cause, sha256 }, 'media were moderated, but other instances could not be told')
    const message = 'It is done, but other instances could not be told and may not act by it yet: please try again'
    throw new Refused('storage_unavailable', message, { cause, retryAfterMs: TRY_AGAIN_MS })
  }
}

/** Whoever deleted it may have failed to tell the others. */
async function tellAgain(parts: ModerationParts, mxc: Mxc): Promise<void> {
  const sha256 = await findContent(parts.db.read, mxc)
  if (sha256 !== undefined) await tell(parts, sha256)
}

async function deleteAll(parts: ModerationParts, objects: readonly StoredObject[]): Promise<void> {
  for (const object of objects) await deleteBytes(parts, object)
}

/** With the rows, the bytes were handed over for deletion: what is not deleted now, or by a crash never, is deleted later. */
async function deleteBytes({ datastores, events }: ModerationParts, object: StoredObject): Promise<void> {
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
