/** Hashes of 256 bits, packed: a list of millions takes 36 bytes for each. */

export const HASH_BYTES = 32
const REASON_BYTES = 4
export const RECORD_BYTES = HASH_BYTES + REASON_BYTES
/** 360 MB. A list with more is a mistake, or belongs behind a hook. */
export const MOST_HASHES = 10_000_000
const MOST_REASONS = 100_000

/** The texts that stand with hashes, each kept once: most lists have few. */
export class Reasons {
  readonly #texts: string[] = ['']
  readonly #numbers = new Map<string, number>([['', 0]])

  /** Its number. Past 100,000 different ones, that of no reason. */
  add(text: string): number {
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    if (this.#texts.length >= MOST_REASONS) return 0
    this.#numbers.set(text, this.#texts.length)
    return this.#texts.push(text) - 1
  }

  of(number: number): string {
    return this.#texts[number] ?? ''
  }
}

/** Records that are added one by one. */
export class GrowingRecords {
  #bytes = Buffer.allocUnsafe(16 * RECORD_BYTES)
  #length = 0

  add(hash: Buffer, reason: number): void {
    if (this.#length === this.#bytes.length) {
      const larger = Buffer.allocUnsafe(this.#bytes.length * 2)
      this.#bytes.copy(larger)
      this.#bytes = larger
    }
    hash.copy(this.#bytes, this.#length, 0, HASH_BYTES)
    this.#bytes.writeUInt32LE(reason, this.#length + HASH_BYTES)
    this.#length += RECORD_BYTES
  }

  /** Those added so far. */
  records(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }
}
