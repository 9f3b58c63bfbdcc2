import { userIdOf } from '../../matrix/caller.ts'
import type { Moderator } from '../../media/moderation.ts'
import { isRepositoryAdmin } from '../auth.ts'
import type { Call } from '../call.ts'
import type { HttpParts } from '../parts.ts'

/** What the caller may decide about. The homeserver is asked whether it is theirs only where that can make a difference. */
export async function moderatorOf(parts: HttpParts, call: Call, localAdmins: boolean): Promise<Moderator> {
  const { caller, homeserver } = call
  const everywhere = isRepositoryAdmin(call.main, caller)
  const asked = localAdmins && !everywhere
  const isLocal = asked && (await parts.homeservers.isAdmin(homeserver, caller, call))
  return { userId: userIdOf(caller), everywhere, serverName: isLocal ? homeserver.name : null }
}

/** What the caller of a route for administrators (`homeserver_admin`, `repository_admin`) may decide about. */
export function administratorOf({ administers, caller, homeserver }: Call): Moderator {
  const everywhere = administers === 'repository'
  return { userId: userIdOf(caller), everywhere, serverName: administers === 'homeserver' ? homeserver.name : null }
}
