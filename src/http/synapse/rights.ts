import { Refused } from '../../lib/errors.ts'
import { serverOf } from '../../matrix/ids.ts'
import type { Questioning } from '../../matrix/administration.ts'
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
