/** Quarantine and deletion of media that are named one by one: of a room, of a page of somebody's uploads. */
import { setTimeout as pause } from 'node:timers/promises'
import { START, uploadsOf } from '../db/candidates.ts'
import { deleteNames, type DeletionRules, describeNames, type Name } from '../db/deletion.ts'
import { quarantineContents } from '../db/moderation.ts'
import type { StoredObject } from '../db/objects.ts'
import { Refused } from '../lib/errors.ts'
import { audited } from './audit.ts'
import type { Moderator, ModerationParts } from './moderation.ts'
import { announceChanged } from './records.ts'

/** Names of a transaction, and contents of an announcement. */
const AT_ONCE = 100
const TRY_AGAIN_MS = 5000
/** How long a page waits for its bytes to be deleted, in ms. They were handed over already: what is not deleted now is later. */
const BYTES_WAIT_MS = 2000

/** What it is for the audit log. */
interface Deed {
  readonly action: string
  readonly subject: string
  readonly details?: Readonly<Record<string, string | number | boolean | null>>
}

/**
 * Quarantines the contents of named media, under all their names, but for protected ones; an administrator of a homeserver does so
 * with what is of that server. Gives how many names were not quarantined before. When it resolves, no instance serves them any more.
 *
 * @throws {Refused} `forbidden`; `storage_unavailable` when it is done but other instances could not be told
 */
export async function quarantineNames(
  parts: ModerationParts,
  moderator: Moderator,
  deed: Deed,
  names: readonly Name[],
): Promise<number> {
  return await quarantinePages(parts, moderator, deed, pagesOf(names))
}

/** The same for whatever a user has uploaded. */
export async function quarantineUploads(
  parts: ModerationParts,
  moderator: Moderator,
  deed: Deed,
  uploader: string,
): Promise<number> {
  return await quarantinePages(parts, moderator, deed, pagesOfUploads(parts, uploader))
}

async function quarantinePages(
  parts: ModerationParts,
  moderator: Moderator,
  deed: Deed,
  pages: Iterable<readonly Name[]> | AsyncIterable<readonly Name[]>,
): Promise<number> {
  const { everywhere, serverName, userId } = moderator
  if (!everywhere && serverName === null) throw new Refused('forbidden', 'Only administrators may do this')
  const origin = everywhere ? null : serverName
  const { affected } = await inAuditLog(parts, moderator, deed, async () => {
    let done = 0
    for await (const page of pages) {
      const known = await describeNames(parts.db.read, page)
      const theirs = known.filter((media) => origin === null || media.origin === origin)
      const sha256s = [...new Set(theirs.map(({ sha256 }) => sha256))].toSorted()
      if (sha256s.length === 0) continue
      const at = parts.clock.now()
      done += await parts.db.write(quarantineContents, { sha256s, origin, at, by: userId ?? null })
      // Also what was quarantined before: whoever did that may have ended before telling the others.
      await tell(parts, sha256s)
    }
    return { affected: done }
  })
  return affected
}

/**
 * Deletes those of the named media that the rules let go, and their contents with the last of their names. Gives their names. When
 * it resolves, no instance serves them any more.
 *
 * @throws {Refused} `storage_unavailable` when it is done but other instances could not be told
 */
export async function deletePage(
  parts: ModerationParts,
  names: readonly Name[],
  rules: DeletionRules,
): Promise<readonly Name[]> {
  const all: Name[] = []
  for (const page of pagesOf(names)) {
    const at = parts.clock.now()
    const { deleted, sha256s, unused } = await parts.db.write(deleteNames, { names: page, rules, at })
    if (deleted.length > 0) await tell(parts, sha256s)
    await Promise.race([deleteBytes(parts, unused), pause(BYTES_WAIT_MS, undefined, { ref: false })])
    all.push(...deleted)
  }
  return all
}

/** Keeps a line of what takes several transactions. */
export async function inAuditLog<Result extends { readonly affected: number }>(
  parts: ModerationParts,
  { actor }: Moderator,
  deed: Deed,
  work: () => Promise<Result>,
): Promise<Result> {
  return actor ? await audited(parts, actor, deed, work) : await work()
}

function* pagesOf(names: readonly Name[]): Generator<readonly Name[]> {
  for (let begin = 0; begin < names.length; begin += AT_ONCE) yield names.slice(begin, begin + AT_ONCE)
}

async function* pagesOfUploads({ db, clock }: ModerationParts, uploader: string): AsyncGenerator<readonly Name[]> {
  const before = clock.now() + 1
  for (let after = START; ;) {
    const page = await uploadsOf(db.read, { uploader, before, after, limit: AT_ONCE })
    const last = page.at(-1)
    if (!last) return
    yield page
    after = last
  }
}

async function tell({ notifier, events }: ModerationParts, sha256s: readonly string[]): Promise<void> {
  try {
    await announceChanged(notifier, sha256s)
  } catch (cause) {
    events.log.error({ err: cause }, 'media were moderated, but other instances could not be told')
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
