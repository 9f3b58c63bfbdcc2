/** One line of a list of hashes. */
export interface ListLine {
  readonly hash: Buffer
  /** Why it is there; may be empty. */
  readonly reason: string
}

/** What was not understood. */
export interface BadLines {
  count: number
  /** The number of the first, from 1. */
  first: number
}

const LONGEST_LINE = 4096
const LONGEST_REASON = 200
const HASH_DIGITS = 64
const LINE = new RegExp(`^([0-9a-fA-F]{${HASH_DIGITS}})(?:[\\s,;|]+(.*))?$`, 'su')

/**
 * The lines of a list: 64 hexadecimal digits each, and behind a space, comma, semicolon or bar whatever is to be said of them. Empty
 * lines and those that begin with # say nothing. Others are counted in `bad`. Bytes come in pieces of any size.
 */
export async function* listLines(pieces: AsyncIterable<Uint8Array>, bad: BadLines): AsyncGenerator<ListLine[]> {
  const decoder = new TextDecoder()
  let rest = ''
  let number = 0
  const read = (text: string): ListLine[] =>
    text.split('\n').flatMap((line) => {
      number++
      return lineOf(line, () => {
        if (bad.count++ === 0) bad.first = number
      })
    })
  for await (const piece of pieces) {
    const text = rest + decoder.decode(piece, { stream: true })
    const end = text.lastIndexOf('\n')
    rest = end < 0 ? text : text.slice(end + 1)
    // A line without an end would be collected for ever; its beginning is enough to see that it is none.
    if (rest.length > LONGEST_LINE) rest = rest.slice(0, LONGEST_LINE)
    if (end >= 0) yield read(text.slice(0, end))
  }
  yield read(rest + decoder.decode())
}

function lineOf(line: string, isBad: () => void): ListLine[] {
  const trimmed = line.replace(/^\uFEFF/, '').trim()
  if (trimmed === '' || trimmed.startsWith('#')) return []
  const [, digits, reason = ''] = LINE.exec(trimmed) ?? []
  if (digits === undefined) {
    isBad()
    return []
  }
  return [{ hash: Buffer.from(digits, 'hex'), reason: reason.trim().slice(0, LONGEST_REASON) }]
}
