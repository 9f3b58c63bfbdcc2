import type { RemoteReason } from './remote-error.ts'

/** Of a refusal, what is read to see which it is. */
const REFUSAL_BYTES = 64 * 1024
/** What homeservers say that look for a user's token where another server's signature is: they know no such endpoint. */
const WANTS_A_TOKEN = new Set(['M_MISSING_TOKEN', 'M_UNKNOWN_TOKEN'])

/** What an answer other than a file means; `older`: the endpoint is not known there, one of an older version may be. */
export type Meaning = RemoteReason | 'older'

/**
 * The table of refusals (matrix specification, "Content repository" of the server-server API; what Synapse and Dendrite fall back
 * on; docs/decisions/022).
 */
export function meaningOf(status: number, errcode: string | undefined, isSigned: boolean): Meaning {
  if (errcode === 'M_NOT_YET_UPLOADED') return 'not_yet_uploaded'
  if (status === 429) return 'limited'
  if (status >= 500) return status === 501 ? 'older' : 'failing'
  if (errcode === 'M_UNRECOGNIZED') return 'older'
  if (status === 401 || status === 403) return isSigned && WANTS_A_TOKEN.has(errcode ?? '') ? 'older' : 'refused'
  // Refusals without an errcode come from something before the homeserver, or from before the specification.
  if (status < 400 || status === 405 || errcode === undefined) return 'older'
  return status === 404 || status === 410 ? 'not_found' : 'refused'
}

/** What a refusal says. */
export interface Refusal {
  readonly errcode: string | undefined
  /** The beginning of its words, for the log. */
  readonly text: string
}

/** Reads what there is to a refusal, up to 64 KiB; leaving the rest ends the connection. */
export async function readRefusal(body: AsyncIterable<Uint8Array>): Promise<Refusal> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= REFUSAL_BYTES) break
  }
  const text = Buffer.concat(chunks).toString('utf8')
  return { errcode: errcodeIn(text), text: text.slice(0, 200) }
}

function errcodeIn(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('errcode' in value)) return undefined
    return typeof value.errcode === 'string' ? value.errcode : undefined
  } catch {
    return undefined
  }
}
