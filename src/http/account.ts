import { Refused } from '../lib/errors.ts'
import { sharedSecretCaller } from '../matrix/caller.ts'
import { USER_AGENT } from '../matrix/client.ts'
import type { Answer } from './answers.ts'
import { json } from './answers.ts'
import { requireCredentials } from './auth.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

/** `POST logout`, passed on to the homeserver; the token is forgotten here at once, on every instance. */
export const logout = (parts: HttpParts, call: Call): Promise<Answer> => passOn(parts, call, false)

/** `POST logout/all`. */
export const logoutAll = (parts: HttpParts, call: Call): Promise<Answer> => passOn(parts, call, true)

async function passOn(parts: HttpParts, call: Call, all: boolean): Promise<Answer> {
  refuseOurselves(call)
  const credentials = requireCredentials(call)
  if (sharedSecretCaller(call.main.sharedSecretAuth, credentials.token)) {
    throw new Refused('forbidden', 'The shared secret is no session that could be ended')
  }
  const answer = await parts.homeservers.logout(call.homeserver, credentials, { all, address: call.address })
  return json(answer.body ?? {}, answer.status)
}

/** `GET versions`: the homeserver's, with what this repository adds. Source: specification, "API versions". */
export async function versions(parts: HttpParts, call: Call): Promise<Answer> {
  refuseOurselves(call)
  return json(await parts.homeservers.versions(call.homeserver, { address: call.address, signal: call.signal }))
}

/** What we ask a homeserver for may come back to us, where `csApi` is the address of the reverse proxy: over and over. */
export function refuseOurselves(call: Call): void {
  if (call.request.headers['user-agent'] !== USER_AGENT) return
  const { name, csApi } = call.homeserver
  call.log.error(
    { homeserver: name, csApi },
    'csApi leads back to Cellarium: it must be an address of the homeserver itself',
  )
  throw new Refused('leads_back', `The csApi of ${name} leads back to Cellarium instead of to the homeserver itself`)
}
