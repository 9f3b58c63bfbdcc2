import { Buffer } from 'node:buffer'
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { canonicalJson } from '../canonical-json.ts'
import type { JsonObject } from '../json.ts'

/** Half of a key pair that signs for a homeserver (ed25519). What may be shown of it: `id` and `publicKey`. */
export interface SigningKey {
  /** `ed25519:<version>`. */
  readonly id: string
  readonly version: string
  readonly privateKey: KeyObject
  /** In unpadded base64. */
  readonly publicKey: string
}

export const SEED_BYTES = 32
export const SIGNATURE_BYTES = 64
const VERSION_LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
const VERSION_LENGTH = 6
/** What stands before a raw key in DER (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')

/** The key of these 32 secret bytes. */
export function signingKey(version: string, seed: Uint8Array): SigningKey {
  const der = Buffer.concat([PKCS8_HEAD, seed])
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  const raw = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(SPKI_HEAD.length)
  return { id: `ed25519:${version}`, version, privateKey, publicKey: unpadded(raw) }
}

/** A new key; its version is six letters and digits, no two alike, as in MMR. */
export function newSigningKey(random: (bytes: number) => Uint8Array): SigningKey {
  let letters = VERSION_LETTERS
  let version = ''
  while (version.length < VERSION_LENGTH) {
    const [byte = 0] = random(1)
    // Bytes from the last, incomplete run of letters would make the first letters likelier.
    if (byte >= 256 - (256 % letters.length)) continue
    const letter = letters.charAt(byte % letters.length)
    version += letter
    letters = letters.replace(letter, '')
  }
  return signingKey(version, random(SEED_BYTES))
}

/** The 32 secret bytes. */
export function seedOf({ privateKey }: SigningKey): Buffer {
  return privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8_HEAD.length)
}

/** The signature of an object in unpadded base64 (specification, "Signing JSON"). Its own `signatures` and `unsigned` do not count. */
export function signObject(object: JsonObject, key: SigningKey): string {
  return unpadded(sign(null, signedBytes(object), key.privateKey))
}

/** Whether a signature (64 bytes) is the key's for exactly these bytes. */
export function isSignature(bytes: Uint8Array, signature: Uint8Array, publicKey: KeyObject): boolean {
  return verify(null, bytes, publicKey, signature)
}

/** The bytes that a signature of this object is for. */
export function signedBytes(object: JsonObject): Buffer {
  return canonicalJson({ ...object, signatures: undefined, unsigned: undefined })
}

/** The public half of another server's key from its base64, padded or not; undefined when it is none. */
export function publicKeyOf(base64: string): KeyObject | undefined {
  const raw = decodeBase64(base64)
  if (raw?.length !== SEED_BYTES) return undefined
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: 'der', type: 'spki' })
}

/** The bytes of standard base64, padded or not; undefined when the text is none. */
export function decodeBase64(text: string): Buffer | undefined {
  const bare = text.replace(/={1,2}$/, '')
  const bytes = Buffer.from(bare, 'base64')
  // Node skips what it does not understand; only what comes back the same was base64.
  return /^[A-Za-z0-9+/]*$/.test(bare) && bytes.length === Math.floor((bare.length * 3) / 4) ? bytes : undefined
}

export function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}
