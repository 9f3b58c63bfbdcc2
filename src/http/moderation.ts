import { Refused } from '../lib/errors.ts'
import { userIdOf } from '../matrix/caller.ts'
import { isMediaId, isServerName, type Mxc } from '../matrix/ids.ts'
import { type Moderator, quarantine, release, remove } from '../media/moderation.ts'
import { type Answer, json } from './answers.ts'
import { isRepositoryAdmin } from './auth.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** `POST admin/quarantine`: MMR's, for one media. */
export async function quarantineMedia(parts: HttpParts, call: Call): Promise<Answer> {
  const { allowLocalAdmins } = call.homeserver.quarantine
  const names = await quarantine(parts, await moderatorOf(parts, call, allowLocalAdmins), mxcOf(call))
  return json({ num_quarantined: names })
}

/** `DELETE admin/quarantine`: what MMR has no endpoint for. */
export async function releaseMedia(parts: HttpParts, call: Call): Promise<Answer> {
  const names = await release(parts, await moderatorOf(parts, call, false), mxcOf(call))
  return json({ num_released: names })
}

/** `POST admin/purge` and `DELETE download`: MMR's, for one media. */
export async function purgeMedia(parts: HttpParts, call: Call): Promise<Answer> {
  await remove(parts, await moderatorOf(parts, call, true), mxcOf(call))
  return json({ purged: true })
}

/** What the caller may decide about. The homeserver is asked whether it is theirs only where that can make a difference. */
async function moderatorOf(parts: HttpParts, call: Call, localAdmins: boolean): Promise<Moderator> {
  const { caller, homeserver } = call
  const everywhere = isRepositoryAdmin(call.main, caller)
  const asked = localAdmins && !everywhere
  const isLocal = asked && (await parts.homeservers.isAdmin(homeserver, caller, call))
  return { userId: userIdOf(caller), everywhere, serverName: isLocal ? homeserver.name : null }
}

function mxcOf(call: Call): Mxc {
  const mxc = { origin: call.param('server'), mediaId: call.param('mediaId') }
  if (isServerName(mxc.origin) && isMediaId(mxc.mediaId)) return mxc
  throw new Refused('bad_parameter', `${mxc.origin}/${mxc.mediaId} is not SERVER/MEDIA_ID`)
}
