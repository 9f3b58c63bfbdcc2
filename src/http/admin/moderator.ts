import type { Actor } from '../../db/audit.ts'
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
  const serverName = isLocal ? homeserver.name : null
  return { userId: userIdOf(caller), everywhere, serverName, actor: actorOf(call) }
}

/** What the caller of a route for administrators (`homeserver_admin`, `repository_admin`) may decide about. */
export function administratorOf(call: Call): Moderator {
  const { administers, caller, homeserver } = call
  const everywhere = administers === 'repository'
  const serverName = administers === 'homeserver' ? homeserver.name : null
  return { userId: userIdOf(caller), everywhere, serverName, actor: actorOf(call) }
}

/** Who calls, for the audit log. */
export function actorOf({ caller, address, id }: Call): Actor {
  return { by: userIdOf(caller) ?? '', address, requestId: id }
}
