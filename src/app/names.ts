import { randomBytes } from 'node:crypto'

/** What tells holders of a lease apart. */
export const newToken = () => randomName(16)

/** So many random bytes, in hex. */
export function randomName(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}
