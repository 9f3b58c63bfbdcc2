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
  const credentials = requireCredentials(call)
  const answer = await parts.homeservers.logout(call.homeserver, credentials, { all, address: call.address })
  return json(answer.body ?? {}, answer.status)
}

/** `GET versions`: the homeserver's, with what this repository adds. Source: specification, "API versions". */
export async function versions(parts: HttpParts, call: Call): Promise<Answer> {
  return json(await parts.homeservers.versions(call.homeserver, { address: call.address, signal: call.signal }))
}
