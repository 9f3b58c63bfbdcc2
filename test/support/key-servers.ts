/** Other Matrix servers, as far as they publish keys: a double of how they are reached, so that tests can hold and break it. */
import { generateKeyPairSync } from 'node:crypto'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { KeyRequest, RequestKeys } from '../../src/matrix/keys/ask-keys.ts'
import { type SigningKey, signingKey, signObject } from '../../src/matrix/keys/signing-key.ts'

export function newKey(version: string): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  return signingKey(version, privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32))
}

export interface Published {
  readonly keys: readonly SigningKey[]
  /** Those that sign; all if not given. */
  readonly signers?: readonly SigningKey[]
  readonly old?: readonly SigningKey[]
  readonly validUntil: number
}

/** The body of `GET /_matrix/key/v2/server`, with further members in the place of its own. */
export function keyBody(server: string, published: Published, more: JsonObject = {}): JsonObject {
  const { keys, signers = keys, old = [], validUntil } = published
  const body: JsonObject = {
    server_name: server,
    valid_until_ts: validUntil,
    verify_keys: listOf(keys, (key) => ({ key: key.publicKey })),
    old_verify_keys: listOf(old, (key) => ({ key: key.publicKey, expired_ts: 1 })),
    ...more,
  }
  return signers.reduce((signed, key) => withSignature(signed, server, key), body)
}

export function withSignature(body: JsonObject, server: string, key: SigningKey): JsonObject {
  const all = { ...(body['signatures'] as JsonObject | undefined) }
  const own = { ...(all[server] as JsonObject | undefined), [key.id]: signObject(body, key) }
  return { ...body, signatures: { ...all, [server]: own } }
}

function listOf(keys: readonly SigningKey[], entry: (key: SigningKey) => Json): JsonObject {
  return Object.fromEntries(keys.map((key) => [key.id, entry(key)]))
}

type Answering = (request: KeyRequest) => Promise<{ status: number; body: Json | Buffer }>

export interface KeyServers {
  readonly request: RequestKeys
  /** Everything asked so far: `GET a.example /_matrix/key/v2/server`. */
  readonly asked: string[]
  /** What a server answers from now on; one that is not set does not answer. */
  readonly answers: Map<string, Answering>
}

export function keyServers(): KeyServers {
  const asked: string[] = []
  const answers = new Map<string, Answering>()
  const request: RequestKeys = async (what) => {
    asked.push(`${what.method} ${what.destination} ${what.path}`)
    const answer = answers.get(what.destination)
    if (!answer) throw new Error('connect ECONNREFUSED 10.0.0.5:8448')
    const { status, body } = await answer(what)
    return { status, body: Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)) }
  }
  return { request, asked, answers }
}
