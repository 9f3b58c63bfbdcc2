import { Buffer } from 'node:buffer'
import { hash, timingSafeEqual } from 'node:crypto'

/** SHA-256 of an access token, in hex: what stands for it in caches and in messages between instances. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'hex')
}

/**
 * Whether two secrets are equal, in a time that tells at most whether they have the same length. An empty one equals none.
 * Asked for every request, so the common case (a token of another length) costs nothing.
 */
export function sameSecret(given: string, secret: string): boolean {
  if (given.length !== secret.length || secret === '') return false
  const [a, b] = [Buffer.from(given), Buffer.from(secret)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** The same, for a secret whose digest is at hand. */
export function isSecret(given: string, digest: Buffer): boolean {
  return timingSafeEqual(digestOf(given), digest)
}

/** SHA-256. Comparing digests keeps the lengths of the secrets to themselves as well. */
export function digestOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}
