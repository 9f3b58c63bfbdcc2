import { setImmediate as turn } from 'node:timers/promises'
import { GrowingRecords, MOST_HASHES, Reasons, RECORD_BYTES } from './hash-records.ts'
import type { ListLine } from './list-lines.ts'

const WORDS = 8
/** So many hashes are compared, a few ms, before others get their turn. */
const COMPARED_AT_ONCE = 200_000

/** A known picture that another one looks like. */
export interface Alike {
  readonly reason: string
  /** In how many of 256 bits they differ. */
  readonly distance: number
}

/** A list of PDQ hashes in memory, compared one after the other: of most, two words of eight tell that they are too far away. */
export class PdqList {
  readonly size: number
  /** Eight words of the hash, and the number of its reason. */
  readonly #words: Uint32Array
  readonly #reasons: Reasons

  private constructor(words: Uint32Array, reasons: Reasons) {
    this.#words = words
    this.#reasons = reasons
    this.size = words.length / (WORDS + 1)
  }

  static async read(lines: AsyncIterable<readonly ListLine[]>): Promise<PdqList> {
    const growing = new GrowingRecords()
    const reasons = new Reasons()
    let size = 0
    for await (const some of lines) {
      for (const { hash, reason } of some) growing.add(hash, reasons.add(reason))
      size += some.length
      if (size > MOST_HASHES) throw new Error(`it has more than ${MOST_HASHES} hashes`)
    }
    const records = Buffer.from(growing.records())
    return new PdqList(wordsOf(records, size * RECORD_BYTES), reasons)
  }

  /** The nearest that differs in `most` bits or fewer; undefined: there is none. */
  async nearest(hash: Buffer, most: number): Promise<Alike | undefined> {
    const wanted = wordsOf(hash, WORDS * 4)
    let best: Alike | undefined
    for (let from = 0; from < this.size; from += COMPARED_AT_ONCE) {
      if (from > 0) await turn()
      best = this.#nearestIn(from, wanted, most, best)
    }
    return best
  }

  #nearestIn(from: number, wanted: Uint32Array, most: number, before: Alike | undefined): Alike | undefined {
    let best = before
    const end = Math.min(this.size, from + COMPARED_AT_ONCE)
    for (let entry = from; entry < end; entry++) {
      const limit = best ? best.distance - 1 : most
      const distance = this.#distance(entry, wanted, limit)
      if (distance <= limit) best = { reason: this.#reasonOf(entry), distance }
    }
    return best
  }

  /** Counts no further than past `limit`. */
  #distance(entry: number, wanted: Uint32Array, limit: number): number {
    const at = entry * (WORDS + 1)
    let distance = 0
    for (let word = 0; word < WORDS && distance <= limit; word++) {
      distance += bitsOf((this.#words[at + word] ?? 0) ^ (wanted[word] ?? 0))
    }
    return distance
  }

  #reasonOf(entry: number): string {
    return this.#reasons.of(this.#words[entry * (WORDS + 1) + WORDS] ?? 0)
  }
}

/** In the order of bytes that reasons are written in. */
function wordsOf(bytes: Buffer, length: number): Uint32Array {
  return Uint32Array.from({ length: length / 4 }, (_, word) => bytes.readUInt32LE(word * 4))
}

/** How many bits of 32 are set, by adding neighbours. */
function bitsOf(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555)
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
