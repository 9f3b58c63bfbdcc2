import type { MediaPlace } from '../../db/usage-lists.ts'
import { Refused } from '../../lib/errors.ts'
import { type JsonAnswer, json } from '../answers.ts'
import type { Call } from '../call.ts'

/**
 * A list of which there is more, in a shape that leaves no room to say so: `Link` names the address of what comes next, which is
 * this one with other parameters. Source: RFC 8288.
 */
export function listAnswer(call: Call, body: unknown, next: Readonly<Record<string, string>> | undefined): JsonAnswer {
  if (!next) return json(body)
  const query = new URLSearchParams(call.query)
  // Whoever follows it has the token, and logs need not.
  query.delete('access_token')
  for (const [name, value] of Object.entries(next)) query.set(name, value)
  return { ...json(body), headers: ['Link', `<?${query.toString()}>; rel="next"`] }
}

/** A place in a list of media, in one word. */
export const placeText = ({ at, mediaId }: MediaPlace): string => `${at}_${mediaId}`

/** What `placeText` made. */
export function placeFrom(name: string, text: string): MediaPlace {
  const [, at, mediaId = ''] = /^(-1|\d{1,15})_([A-Za-z0-9_-]{0,255})$/.exec(text) ?? []
  if (at === undefined) throw new Refused('bad_parameter', `${name} must be what the answer before gave`)
  return { at: Number(at), mediaId }
}
