import type { Answer } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

type Handler = (parts: HttpParts, call: Call) => Promise<Answer>

/**
 * What `answer` gives, as other homeservers get it: in two parts, and within the limits of the server that asks
 * (`rateLimit.perServer`). Source: specification, "GET /_matrix/federation/v1/media/download/{mediaId}".
 */
export function toServers(answer: Handler): Handler {
  return async (parts, call) => {
    const origin = originOf(call)
    const { rateLimit } = call.main
    parts.serverLimits.admitRequest(origin, rateLimit)
    const file = await answer(parts, call)
    if (file.kind !== 'file') throw new Error('only what is stored here is for other servers')
    const admit = (bytes: number) => parts.serverLimits.admitBytes(origin, bytes, rateLimit)
    return { kind: 'mixed', file, boundary: parts.newBoundary(), admit }
  }
}

function originOf({ caller }: Call): string {
  if (caller.kind === 'server') return caller.origin
  throw new Error('the route is not for servers (routes.ts)')
}
