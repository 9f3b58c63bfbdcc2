import { Buffer, isUtf8 } from 'node:buffer'

/** A member of the object, or of the one in it that is opened. */
export interface JsonMember {
  readonly key: string
  readonly value: unknown
  /** Of the opened object. */
  readonly isInside: boolean
}

export interface JsonMembersOptions {
  /** The key of the object whose members are given one by one, wherever it stands among the others. */
  readonly opened: string
  /** The most bytes that one key or one value may have. */
  readonly largest: number
}

type Expected = 'object' | 'first key' | 'key' | 'colon' | 'value' | 'comma' | 'nothing'

const [TAB, LINE_FEED, RETURN, SPACE, QUOTE, BACKSLASH, COMMA, COLON] = [9, 10, 13, 32, 34, 92, 44, 58]
const [OPENS_OBJECT, CLOSES_OBJECT, OPENS_ARRAY, CLOSES_ARRAY] = [123, 125, 91, 93]

/**
 * Reads an object of any size in JSON (RFC 8259, strictly), as its bytes come, member by member: only keys and values are cut out here,
 * each is `JSON.parse`'s to read. Nothing is in memory but the member that is being read.
 *
 * `add` and `end` throw a `SyntaxError`, where that is no such object, and a `RangeError`, where a part of it is too large.
 */
export class JsonMembers {
  readonly #opened: string
  readonly #largest: number
  #expected: Expected = 'object'
  #isInside = false
  #hasOpened = false
  #key = ''
  readonly #token = new Token()
  /** What came of the token with earlier chunks. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  /** Where the chunk begins in the whole. */
  #at = 0

  constructor({ opened, largest }: JsonMembersOptions) {
    this.#opened = opened
    this.#largest = largest
  }

  /** Whether the object to be opened has come, at least its beginning. */
  get hasOpened(): boolean {
    return this.#hasOpened
  }

  /** The members whose last byte is in `chunk`, which is not needed any more then. */
  add(chunk: Uint8Array): readonly JsonMember[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const members: JsonMember[] = []
    for (let at = 0; at < bytes.length;) {
      const begin = at
      if (!this.#token.isOpen) {
        const byte = bytes[at] ?? 0
        if (isSpace(byte) || this.#takeMark(byte, at)) {
          at++
          continue
        }
        this.#token.begin()
      }
      const end = this.#token.endIn(bytes, at)
      at = end ?? bytes.length
      this.#bound(at - begin)
      if (end === undefined) this.#keepPiece(bytes.subarray(begin))
      else this.#take(this.#read(bytes.subarray(begin, end), end), members)
    }
    this.#at += bytes.length
    return members
  }

  /** Says that no more comes. */
  end(): void {
    if (this.#expected !== 'nothing') throw new SyntaxError(`it ends after ${this.#at} bytes, in the middle`)
  }

  /** Takes a byte that stands by itself; false: a key or a value begins with it. */
  #takeMark(byte: number, at: number): boolean {
    const expected = this.#expected
    if (expected === 'object' && byte === OPENS_OBJECT) this.#expected = 'first key'
    else if (expected === 'first key' && byte === CLOSES_OBJECT) this.#close()
    else if (expected === 'comma' && byte === CLOSES_OBJECT) this.#close()
    else if (expected === 'comma' && byte === COMMA) this.#expected = 'key'
    else if (expected === 'colon' && byte === COLON) this.#expected = 'value'
    else if (expected === 'value' && byte === OPENS_OBJECT && !this.#isInside && this.#key === this.#opened)
      this.#open()
    else if (expected === 'value' || (expected.endsWith('key') && byte === QUOTE)) return false
    else throw new SyntaxError(`at byte ${this.#at + at} there should be ${SHOULD_BE[expected]}`)
    return true
  }

  #open(): void {
    if (this.#hasOpened) throw new SyntaxError(`it has "${this.#opened}" twice`)
    this.#hasOpened = true
    this.#isInside = true
    this.#expected = 'first key'
  }

  #close(): void {
    this.#expected = this.#isInside ? 'comma' : 'nothing'
    this.#isInside = false
  }

  #bound(more: number): void {
    if (this.#pieceBytes + more <= this.#largest) return
    throw new RangeError(`a member has more than ${this.#largest} bytes`)
  }

  /** A copy: whoever gave the chunk may use it again. */
  #keepPiece(piece: Buffer): void {
    this.#pieces.push(Buffer.from(piece))
    this.#pieceBytes += piece.length
  }

  /** What the token says of which `last` is the end. */
  #read(last: Buffer, end: number): unknown {
    const bytes = this.#pieces.length === 0 ? last : Buffer.concat([...this.#pieces, last])
    this.#pieces = []
    this.#pieceBytes = 0
    if (!isUtf8(bytes)) throw new SyntaxError(`what ends at byte ${this.#at + end} is not in UTF-8`)
    try {
      return JSON.parse(bytes.toString('utf8'))
    } catch (cause) {
      throw new SyntaxError(`what ends at byte ${this.#at + end} is no value`, { cause })
    }
  }

  #take(read: unknown, members: JsonMember[]): void {
    if (this.#expected === 'value') {
      members.push({ key: this.#key, value: read, isInside: this.#isInside })
      this.#expected = 'comma'
    } else {
      this.#key = String(read)
      this.#expected = 'colon'
    }
  }
}

const SHOULD_BE: Readonly<Record<Expected, string>> = {
  object: 'a `{`',
  'first key': 'a key or a `}`',
  key: 'a key',
  colon: 'a `:`',
  value: 'a value',
  comma: 'a `,` or a `}`',
  nothing: 'nothing more',
}

const isSpace = (byte: number) => byte === SPACE || byte === LINE_FEED || byte === RETURN || byte === TAB

/** Finds the end of a key or a value: knows strings, and how deep it is in brackets, whichever they are. */
class Token {
  isOpen = false
  #isFirst = false
  #isBare = false
  #isInString = false
  #isEscaped = false
  #depth = 0

  begin(): void {
    this.isOpen = true
    this.#isFirst = true
  }

  /** The index behind its last byte, or undefined, where that does not come before the end of `bytes`. */
  endIn(bytes: Buffer, from: number): number | undefined {
    if (this.#isFirst) this.#look(bytes[from] ?? 0)
    const end = this.#isBare ? bareEnd(bytes, from) : this.#bracketedEnd(bytes, from)
    this.isOpen = end === undefined
    return end
  }

  #look(byte: number): void {
    this.#isFirst = false
    this.#isBare = byte !== QUOTE && byte !== OPENS_OBJECT && byte !== OPENS_ARRAY
  }

  #bracketedEnd(bytes: Buffer, from: number): number | undefined {
    let isInString = this.#isInString
    let isEscaped = this.#isEscaped
    let depth = this.#depth
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]
      if (isEscaped) isEscaped = false
      else if (isInString) {
        if (byte === BACKSLASH) isEscaped = true
        else if (byte === QUOTE) isInString = false
      } else if (byte === QUOTE) isInString = true
      else if (byte === OPENS_OBJECT || byte === OPENS_ARRAY) depth++
      else if (byte === CLOSES_OBJECT || byte === CLOSES_ARRAY) depth--
      if (depth === 0 && !isInString) {
        this.#keep(false, false, 0)
        return at + 1
      }
    }
    this.#keep(isInString, isEscaped, depth)
    return undefined
  }

  #keep(isInString: boolean, isEscaped: boolean, depth: number): void {
    this.#isInString = isInString
    this.#isEscaped = isEscaped
    this.#depth = depth
  }
}

/** Of a number, or of a word. */
function bareEnd(bytes: Buffer, from: number): number | undefined {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === COMMA || byte === CLOSES_OBJECT || byte === CLOSES_ARRAY || isSpace(byte)) return at
  }
  return undefined
}
