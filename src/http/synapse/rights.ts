import { Refused } from '../../lib/errors.ts'
import { serverOf } from '../../matrix/ids.ts'
import type { Questioning } from '../../matrix/administration.ts'
import type { Moderator } from '../../media/moderation.ts'
import { administratorOf } from '../admin/moderator.ts'
import type { Call } from '../call.ts'
import type { HttpParts } from '../parts.ts'

/**
 * Whether a caller may see what is noted of a server's media: administrators of a homeserver, what is of theirs and of servers
 * elsewhere, and nothing of the other homeservers of this repository.
 */
export function maySee(parts: Pick<HttpParts, 'remote'>, call: Call, origin: string): boolean {
  const { everywhere, serverName } = administratorOf(call)
  return everywhere || origin === serverName || !parts.remote.isOurs(origin)
}

/**
 * What an administrator may quarantine.
 *
 * @throws {Refused} `forbidden` to those of a homeserver, where the configuration says so
 */
export function quarantinerOf(call: Call): Moderator {
  const moderator = administratorOf(call)
  if (moderator.everywhere || call.homeserver.quarantine.allowLocalAdmins) return moderator
  throw new Refused('forbidden', 'Only administrators of the repository may do this (quarantine.allowLocalAdmins)')
}

/** @throws {Refused} `bad_request` for users of any other homeserver than the one addressed */
export function requireLocalUser({ homeserver }: Call, userId: string): void {
  if (serverOf(userId) === homeserver.name) return
  throw new Refused('bad_request', `${userId} is no user of ${homeserver.name}`)
}

/** What is asked of the homeserver addressed, with the caller's own token. */
export const questioning = ({ homeservers }: HttpParts, call: Call): Questioning => ({
  homeservers,
  homeserver: call.homeserver,
  caller: call.caller,
  asker: call,
})
