import { setImmediate as turn } from 'node:timers/promises'
import { GrowingRecords, HASH_BYTES, MOST_HASHES, Reasons, RECORD_BYTES } from './hash-records.ts'
import type { ListLine } from './list-lines.ts'

/** A list of SHA-256 hashes in memory: by their first byte in 256 sorted rows, looked up by halving. */
export class Sha256List {
  readonly size: number
  readonly #rows: readonly Buffer[]
  readonly #reasons: Reasons

  private constructor(rows: readonly Buffer[], reasons: Reasons, size: number) {
    this.#rows = rows
    this.#reasons = reasons
    this.size = size
  }

  /** Sorting is done a row at a time, so that requests go on meanwhile. */
  static async read(lines: AsyncIterable<readonly ListLine[]>): Promise<Sha256List> {
    const growing = Array.from({ length: 256 }, () => new GrowingRecords())
    const reasons = new Reasons()
    let size = 0
    for await (const some of lines) {
      for (const { hash, reason } of some) growing[hash[0] ?? 0]?.add(hash, reasons.add(reason))
      size += some.length
      if (size > MOST_HASHES) throw new Error(`it has more than ${MOST_HASHES} hashes`)
    }
    const rows: Buffer[] = []
    for (const row of growing) {
      rows.push(sorted(row.records()))
      await turn()
    }
    return new Sha256List(rows, reasons, size)
  }

  /** The reason that stands with a hash, maybe empty; undefined: it is not on the list. */
  find(sha256: string): string | undefined {
    const hash = Buffer.from(sha256, 'hex')
    const row = this.#rows[hash[0] ?? 0] ?? Buffer.alloc(0)
    let [low, high] = [0, row.length / RECORD_BYTES]
    while (low < high) {
      const middle = (low + high) >>> 1
      const at = middle * RECORD_BYTES
      const order = row.compare(hash, 0, HASH_BYTES, at, at + HASH_BYTES)
      if (order === 0) return this.#reasons.of(row.readUInt32LE(at + HASH_BYTES))
      if (order < 0) low = middle + 1
      else high = middle
    }
    return undefined
  }
}

function sorted(records: Buffer): Buffer {
  const each = Array.from({ length: records.length / RECORD_BYTES }, (_, index) =>
    records.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES),
  )
  return Buffer.concat(each.toSorted((a, b) => a.compare(b)))
}
