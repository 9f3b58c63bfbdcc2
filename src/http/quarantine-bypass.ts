import { Refused } from '../lib/errors.ts'
import { identifyIfPossible, isRepositoryAdmin } from './auth.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'
import type { Endpoint } from './redirect.ts'

const PARAMETER = 'admin_unsafely_bypass_quarantine'

/** Whether the caller asks to see media although they are quarantined. Other servers cannot. */
export function asksForQuarantined(call: Call, endpoint: Endpoint): boolean {
  return endpoint !== 'federation' && call.query.get(PARAMETER) === 'true'
}

/**
 * Refuses all who may not see quarantined media: but administrators of the repository, or of the homeserver addressed for its own
 * media. To be asked before anything else, so that nothing is fetched for who may not. Source: Synapse's behaviour.
 *
 * @throws {Refused} `bad_request`
 */
export async function requireBypass(parts: HttpParts, call: Call, origin: string): Promise<void> {
  const { main, homeserver } = call
  const caller = await identifyIfPossible(parts, call)
  if (isRepositoryAdmin(main, caller)) return
  if (origin === homeserver.name && (await parts.homeservers.isAdmin(homeserver, caller, call))) return
  throw new Refused('bad_request', `${PARAMETER} is for administrators, those of a homeserver for its own media`)
}
