import type { ByteRange } from '../datastores/datastore.ts'

/** One range, without room for a pattern to try things over: headers come from strangers. */
const ONE_RANGE = /^bytes=[ \t]*(?:(?<first>\d+)-(?<last>\d*)|-(?<length>\d+))[ \t]*$/i

/**
 * The part of a file of `size` bytes that a `Range` header asks for, or `unsatisfiable`; undefined when the whole file is the
 * answer: for several ranges at once, another unit, and whatever is no range at all. One without an end gives `openBytes` at
 * most (0: no limit; MMR's `defaultRangeChunkSizeBytes`). Source: RFC 9110 §14.1.2, §14.2.
 */
export function rangeOf(header: string, size: number, openBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const { first, last = '', length } = ONE_RANGE.exec(header)?.groups ?? {}
  if (length !== undefined) return suffix(Number(length), size)
  if (first === undefined) return undefined
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  if (start >= size) return 'unsatisfiable'
  const openEnd = openBytes > 0 ? start + openBytes - 1 : size - 1
  return { start, end: Math.min(last === '' ? openEnd : Number(last), size - 1) }
}

/** The last `length` bytes; of a shorter file, all. */
function suffix(length: number, size: number): ByteRange | 'unsatisfiable' {
  return length === 0 ? 'unsatisfiable' : { start: Math.max(0, size - length), end: size - 1 }
}
