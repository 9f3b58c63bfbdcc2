import type { Buffer } from 'node:buffer'
import { canonicalJson } from '../canonical-json.ts'
import { KeysUnusable, type PublishedKeys, readNotaryAnswer, readServerKeys } from './published-keys.ts'

/** A request to another Matrix server that needs no signature. */
export interface KeyRequest {
  /** Its server name, before discovery. */
  readonly destination: string
  readonly method: 'GET' | 'POST'
  /** Path and query. */
  readonly path: string
  /** JSON. */
  readonly body?: Buffer
  /** An answer that is longer has to be given up. */
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** How other servers are reached: finds, dials and asks the destination. Rejects when no answer comes, or one that is too long. */
export type RequestKeys = (request: KeyRequest) => Promise<{ readonly status: number; readonly body: Uint8Array }>

interface Asking {
  readonly request: RequestKeys
  readonly now: number
  readonly signal: AbortSignal
}

const LARGEST_ANSWER = 256 * 1024
const ASK_TIMEOUT_MS = 20_000

/**
 * Asks a server for its own keys.
 *
 * @throws {KeysUnusable} when it answers with none; whatever `request` throws
 */
export async function askOrigin(asking: Asking, origin: string): Promise<PublishedKeys> {
  const answer = await ask(asking, { destination: origin, method: 'GET', path: '/_matrix/key/v2/server' })
  if (answer.status !== 200) throw new KeysUnusable(`it answered ${answer.status}`)
  return readServerKeys(answer.body, origin, asking.now)
}

export interface NotaryQuestion {
  readonly notary: string
  readonly origin: string
  readonly keyIds: readonly string[]
  /** The notary's own keys, among which these are wanted. */
  readonly notaryKeys: (keyIds: readonly string[]) => Promise<PublishedKeys>
}

/**
 * Asks a notary for another server's keys (specification, "Querying Keys Through Another Server"): by POST, and by GET where that
 * is not known. Both signatures have to be right, the notary's and the server's own.
 *
 * @throws {KeysUnusable}; whatever `request` and `notaryKeys` throw
 */
export async function askNotary(asking: Asking, question: NotaryQuestion): Promise<PublishedKeys> {
  const { notary, origin, notaryKeys } = question
  const answer = await askEitherWay(asking, question)
  if (answer.status !== 200) throw new KeysUnusable(`the notary ${notary} answered ${answer.status}`)
  for (const found of readNotaryAnswer(answer.body, { origin, notary, now: asking.now })) {
    if (found.notaryKeyIds.length > 0 && found.isSignedBy(await notaryKeys(found.notaryKeyIds))) return found.keys
  }
  throw new KeysUnusable(`the answer of the notary ${notary} is not signed by it`)
}

async function askEitherWay(asking: Asking, { notary, origin, keyIds }: NotaryQuestion) {
  const path = '/_matrix/key/v2/query'
  const wanted = Object.fromEntries(keyIds.map((id) => [id, { minimum_valid_until_ts: asking.now }]))
  const body = canonicalJson({ server_keys: { [origin]: wanted } })
  const answer = await ask(asking, { destination: notary, method: 'POST', path, body })
  if (![400, 404, 405].includes(answer.status)) return answer
  const single = `${path}/${encodeURIComponent(origin)}?minimum_valid_until_ts=${asking.now}`
  return await ask(asking, { destination: notary, method: 'GET', path: single })
}

function ask({ request, signal }: Asking, what: Omit<KeyRequest, 'maxBytes' | 'signal'>) {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(ASK_TIMEOUT_MS)])
  return request({ ...what, maxBytes: LARGEST_ANSWER, signal: patience })
}
