import type { Bringing } from '../media/mmr/bring.ts'
import { isMediaId, isServerName } from '../matrix/ids.ts'
import type { Call } from './call.ts'

/**
 * Brings here what a request names in its path and MMR's tables have, before anything looks for it. Here and not where records are
 * looked for, so that no route can be forgotten. Whoever changes something means all names of the content.
 */
export async function bringNamed(
  bringing: Pick<Bringing, 'bring'>,
  { params, request, homeserver }: Call,
): Promise<void> {
  const { mediaId, server: origin = homeserver.name } = params
  if (mediaId === undefined || !isServerName(origin) || !isMediaId(mediaId)) return
  const withAllNames = request.method !== 'GET' && request.method !== 'HEAD'
  await bringing.bring({ origin, mediaId }, { withAllNames })
}
