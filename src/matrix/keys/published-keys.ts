import type { KeyObject } from 'node:crypto'
import { asObject, isList, type Json, type JsonObject, readJson, UnclearJson } from '../json.ts'
import { decodeBase64, isSignature, publicKeyOf, signedBytes } from './signing-key.ts'

/** What a server says of its keys, its signature checked. */
export interface PublishedKeys {
  /** The keys with which it signs, by id. */
  readonly current: ReadonlyMap<string, KeyObject>
  /** Ids of keys that it used before: good for old events, never for requests. */
  readonly old: ReadonlySet<string>
  /** Until when this may be believed, in ms since 1970. */
  readonly validUntil: number
}

/** An answer that shows no keys that could be used. The message can be told to whoever asks. */
export class KeysUnusable extends Error {
  override readonly name = 'KeysUnusable'
}

const LONGEST_VALIDITY_MS = 7 * 24 * 3_600_000
const MOST_KEYS = 100

/**
 * The keys in the body of `GET /_matrix/key/v2/server` (specification, "Publishing Keys"). At least one of them has to have signed it;
 * those of them whose signature is wrong are left out, those that did not sign are taken, as Synapse does.
 *
 * @throws {KeysUnusable}
 */
export function readServerKeys(body: Uint8Array, origin: string, now: number): PublishedKeys {
  return checkKeys(readBody(body), origin, now)
}

/** One server's entry in a notary's answer, checked except for the notary's signature. */
export interface NotarisedKeys {
  readonly keys: PublishedKeys
  /** With which of the notary's keys it is signed, as it says. */
  readonly notaryKeyIds: readonly string[]
  /** Whether one of the notary's keys has signed it. */
  readonly isSignedBy: (notaryKeys: PublishedKeys) => boolean
}

/**
 * What a notary answered about one server (`/_matrix/key/v2/query`), what is valid longest first. Entries that cannot be used are left
 * out; the error says why if none is left.
 *
 * @throws {KeysUnusable}
 */
export function readNotaryAnswer(
  body: Uint8Array,
  { origin, notary, now }: { readonly origin: string; readonly notary: string; readonly now: number },
): readonly NotarisedKeys[] {
  const list = readBody(body)['server_keys']
  const entries = (isList(list) ? list : []).map(asObject).filter((entry) => entry?.['server_name'] === origin)
  const found: NotarisedKeys[] = []
  let problem = new KeysUnusable(`${notary} does not know them`)
  for (const entry of entries.slice(0, MOST_KEYS)) {
    try {
      if (entry) found.push(notarised(entry, { origin, notary, now }))
    } catch (error) {
      if (!(error instanceof KeysUnusable)) throw error
      problem = error
    }
  }
  if (found.length === 0) throw problem
  return found.sort((one, other) => other.keys.validUntil - one.keys.validUntil)
}

function notarised(entry: JsonObject, about: { origin: string; notary: string; now: number }): NotarisedKeys {
  const bytes = signedBytes(entry)
  const signatures = signaturesBy(entry, about.notary)
  return {
    keys: checkKeys(entry, about.origin, about.now),
    notaryKeyIds: [...signatures.keys()],
    isSignedBy: ({ current }) =>
      [...signatures].some(([id, signature]) => {
        const key = current.get(id)
        return key !== undefined && isSignature(bytes, signature, key)
      }),
  }
}

function checkKeys(body: JsonObject, origin: string, now: number): PublishedKeys {
  const named = body['server_name']
  if (named !== origin) throw new KeysUnusable(`the answer is about ${JSON.stringify(named) ?? 'no server'}`)
  const until = body['valid_until_ts']
  if (typeof until !== 'number') throw new KeysUnusable('the answer has no valid_until_ts')
  if (until <= now) throw new KeysUnusable(`they were valid until ${isoTime(until)}`)
  const current = signers(body, origin, listedKeys(body['verify_keys']))
  const old = new Set(Object.keys(asObject(body['old_verify_keys']) ?? {}).slice(0, MOST_KEYS))
  return { current, old, validUntil: Math.min(until, now + LONGEST_VALIDITY_MS) }
}

/** The keys without those whose own signature of the answer is wrong. */
function signers(body: JsonObject, origin: string, keys: ReadonlyMap<string, KeyObject>): Map<string, KeyObject> {
  const bytes = signedBytes(body)
  const signatures = signaturesBy(body, origin)
  const right = new Map<string, KeyObject>()
  let signed = false
  for (const [id, key] of keys) {
    const signature = signatures.get(id)
    const isRight = signature !== undefined && isSignature(bytes, signature, key)
    signed ||= isRight
    if (isRight || signature === undefined) right.set(id, key)
  }
  if (!signed) throw new KeysUnusable('the answer is not signed by any of the keys in it')
  return right
}

/** The ed25519 keys of `verify_keys`; what is none is left out. */
function listedKeys(value: Json | undefined): ReadonlyMap<string, KeyObject> {
  const keys = new Map<string, KeyObject>()
  for (const [id, entry] of Object.entries(asObject(value) ?? {}).slice(0, MOST_KEYS)) {
    const base64 = asObject(entry)?.['key']
    const key = id.startsWith('ed25519:') && typeof base64 === 'string' ? publicKeyOf(base64) : undefined
    if (key) keys.set(id, key)
  }
  return keys
}

function signaturesBy(body: JsonObject, server: string): ReadonlyMap<string, Uint8Array> {
  const signatures = new Map<string, Uint8Array>()
  const entries = Object.entries(asObject(asObject(body['signatures'])?.[server]) ?? {})
  for (const [id, base64] of entries.slice(0, MOST_KEYS)) {
    // What is no signature at all is as wrong as one that does not fit.
    signatures.set(id, (typeof base64 === 'string' ? decodeBase64(base64) : undefined) ?? new Uint8Array())
  }
  return signatures
}

function readBody(bytes: Uint8Array): JsonObject {
  try {
    const body = asObject(readJson(bytes))
    if (body) return body
  } catch (cause) {
    if (cause instanceof UnclearJson)
      throw new KeysUnusable(`the answer cannot be understood: ${cause.message}`, { cause })
    throw cause
  }
  throw new KeysUnusable('the answer is no JSON object')
}

/** Years beyond what a date can be are no reason to fail. */
function isoTime(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms)
}
