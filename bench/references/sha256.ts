/** How fast one core hashes: SHA-256 by node:crypto. Prints bytes per second. Arguments: bytes of a file, seconds. */
import { createHash } from 'node:crypto'

const MIB = 1024 * 1024
const [size = MIB, seconds = 1] = process.argv.slice(2).map(Number)
const chunk = Buffer.alloc(Math.min(size, MIB), '.')

hashFor(0.3)
console.log(hashFor(seconds))

function hashFor(limit: number): number {
  const began = performance.now()
  let hashed = 0
  for (;;) {
    const hash = createHash('sha256')
    for (let at = 0; at < size; at += chunk.length) hash.update(chunk.subarray(0, Math.min(chunk.length, size - at)))
    hash.digest('hex')
    hashed += size
    const elapsed = (performance.now() - began) / 1000
    if (elapsed >= limit) return hashed / elapsed
  }
}
