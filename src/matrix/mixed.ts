/**
 * Reading `multipart/mixed` as other servers answer `/_matrix/federation/v1/media/…` with it: a JSON part, then the file or
 * where it is. Servers differ: see the tests for what is known to be out there.
 */

/** Bytes that are no such answer, or break off within it. */
export class BadMultipart extends Error {
  override readonly name = 'BadMultipart'
}

/** Headers of a part, by lower-case name; of several with one name, the first. */
export type PartHeaders = ReadonlyMap<string, string>

export interface FederatedFile {
  /** What the JSON part says; `{}` where it is empty. */
  readonly metadata: unknown
  readonly headers: PartHeaders
  /** How many bytes of the answer stand before that content. */
  readonly offset: number
  /** The second part's content, once, in order. Ends with `BadMultipart` when the answer breaks off before its end. */
  readonly body: AsyncIterable<Uint8Array>
}

/** Bytes before the first boundary, of a part's headers, of the JSON part: more than any server has a reason to send. */
const MOST_AROUND = 64 * 1024

/** What is around the boundary behind a file: `\n--` alone, or `\r\n--` before and `--\r\n\r\n` behind. */
const SHORTEST_END = 3
const LONGEST_END = 10

/** The boundary of a `Content-Type: multipart/mixed` header, quoted or not; undefined if it is another type, or has none. */
export function boundaryOf(contentType: string): string | undefined {
  if (!/^\s*multipart\/mixed\s*(;|$)/i.test(contentType)) return undefined
  const found = /;\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(contentType)
  return found?.[1] ?? found?.[2]
}

/**
 * Between which sizes the file is, in bytes, in an answer of so many: how the last boundary ends, and whether a line end follows,
 * differs between servers. Text behind the last boundary, which nobody sends, is not reckoned with.
 */
export function sizeWithin(
  answerBytes: number,
  { offset }: Pick<FederatedFile, 'offset'>,
  boundary: string,
): { readonly atLeast: number; readonly atMost: number } {
  const rest = answerBytes - offset - boundary.length
  return { atLeast: Math.max(0, rest - LONGEST_END), atMost: Math.max(0, rest - SHORTEST_END) }
}

/**
 * Reads an answer up to the content of its second part, and leaves that to be read.
 *
 * @throws {BadMultipart} when it is not what the specification describes. Source: specification, "GET
 * /_matrix/federation/v1/media/download/{mediaId}"; RFC 2046 §5.1.
 */
export async function readMixed(source: AsyncIterable<Uint8Array>, boundary: string): Promise<FederatedFile> {
  const reader = new Reader(source, boundary)
  await reader.skipPreamble()
  const first = await reader.headers()
  const type = first.get('content-type')
  if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type)) {
    throw new BadMultipart(`the first part is ${JSON.stringify(type)}, not application/json`)
  }
  const metadata = parseMetadata(await reader.collect('the JSON part'))
  if (reader.atEnd) throw new BadMultipart('there is no second part')
  const headers = await reader.headers()
  return { metadata, headers, offset: reader.taken, body: reader.lastBody() }
}

function parseMetadata(bytes: Buffer): unknown {
  if (bytes.length === 0) return {}
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new BadMultipart('the first part is no JSON', { cause: error })
  }
}

const CR = 13
const LF = 10
const DASH = 45
const SPACE = 32
const TAB = 9

class Reader {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #dashes: Buffer
  /** What separates a part's content from the boundary behind it: the line end this server uses, and the boundary. */
  #delimiter: Buffer
  #ahead: Buffer = Buffer.alloc(0)
  #ended = false
  /** Behind the last part, of which the boundary says that it is. */
  #closed = false
  /** Behind the last part. */
  atEnd = false
  /** How many bytes have been read and understood. */
  taken = 0

  constructor(source: AsyncIterable<Uint8Array>, boundary: string) {
    this.#chunks = source[Symbol.asyncIterator]()
    this.#dashes = Buffer.from(`--${boundary}`, 'latin1')
    this.#delimiter = this.#dashes
  }

  /** Up to behind the first boundary's line. Some servers begin with the boundary, some with an empty line. */
  async skipPreamble(): Promise<void> {
    for (;;) {
      const line = await this.#line('before the first boundary')
      if (!line.bytes.subarray(0, this.#dashes.length).equals(this.#dashes)) continue
      const rest = line.bytes.subarray(this.#dashes.length)
      // Synapse 1.163 sends this for a file of no bytes, announces more than it sends, and keeps the connection open.
      if (isClosing(rest)) throw new BadMultipart('it ends before its first part')
      if (!isPadding(rest)) continue
      this.#delimiter = Buffer.concat([Buffer.from(line.end), this.#dashes])
      return
    }
  }

  async headers(): Promise<PartHeaders> {
    const lines: string[] = []
    let size = 0
    for (;;) {
      if (await this.#isAtBoundary()) break
      const { bytes } = await this.#line('within the headers of a part')
      if (bytes.length === 0) break
      size += bytes.length
      if (size > MOST_AROUND) throw new BadMultipart('the headers of a part are too long')
      const line = bytes.toString('utf8')
      // A line that begins with a space goes on with the one before (RFC 5322 §2.2.3).
      if (/^[ \t]/.test(line) && lines.length > 0) lines.push(`${lines.pop()} ${line.trim()}`)
      else lines.push(line)
    }
    return headersOf(lines)
  }

  /** The whole content of a part that has to be small. */
  async collect(what: string): Promise<Buffer> {
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of this.body()) {
      size += chunk.length
      if (size > MOST_AROUND) throw new BadMultipart(`${what} has more than ${MOST_AROUND} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  async *body(): AsyncGenerator<Uint8Array> {
    if (await this.#isAtBoundary()) return await this.#passBoundary(this.#dashes.length)
    for (;;) {
      const found = this.#ahead.indexOf(this.#delimiter)
      const sure = found === -1 ? this.#ahead.length - this.#beginnings() : found
      if (sure > 0) yield this.#take(sure)
      if (found === -1) {
        if (!(await this.#pull())) throw brokeOff('within a part')
        continue
      }
      if (await this.#isBoundaryAhead(this.#delimiter)) return await this.#passBoundary(this.#delimiter.length)
      // The boundary's text goes on: these are bytes of the file.
      yield this.#take(this.#delimiter.length)
    }
  }

  /** As `body`; ends the source afterwards, so that its connection can be used again or is closed. */
  async *lastBody(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.body()
      await this.#passEpilogue()
    } finally {
      await this.#chunks.return?.()
    }
  }

  /** What comes behind the last boundary. Where that had its dashes, the file is whole, however the connection ends. */
  async #passEpilogue(): Promise<void> {
    try {
      for (let rest = 0; rest <= MOST_AROUND && (await this.#pull());) rest += this.#take(this.#ahead.length).length
    } catch (error) {
      if (!this.#closed) throw error
    }
  }

  /** Behind a boundary: its line's end, or `--` for the last one. Servers forget that too, and then nothing comes. */
  async #passBoundary(length: number): Promise<void> {
    this.#take(length)
    await this.#have(2)
    if (this.#ahead.length === 0 || this.#ahead[0] === DASH) {
      this.#closed = this.#ahead[1] === DASH
      this.atEnd = true
      return
    }
    await this.#line('behind a boundary')
    this.atEnd = !(await this.#have(1))
  }

  /** An empty part may have no line of its own before the boundary. */
  async #isAtBoundary(): Promise<boolean> {
    await this.#have(this.#dashes.length)
    return (
      this.#ahead.subarray(0, this.#dashes.length).equals(this.#dashes) && (await this.#isBoundaryAhead(this.#dashes))
    )
  }

  /** Whether what begins with the boundary ends with it too, and is no longer word. */
  async #isBoundaryAhead(text: Buffer): Promise<boolean> {
    await this.#have(text.length + 2)
    const [next, second] = this.#ahead.subarray(text.length)
    if (next === DASH) return second === undefined || second === DASH
    return next === undefined || next === CR || next === LF || next === SPACE || next === TAB
  }

  /** How many bytes at the end of what is ahead may be the beginning of a delimiter. */
  #beginnings(): number {
    for (let length = Math.min(this.#delimiter.length - 1, this.#ahead.length); length > 0; length--) {
      const tail = this.#ahead.subarray(this.#ahead.length - length)
      if (this.#delimiter.subarray(0, length).equals(tail)) return length
    }
    return 0
  }

  async #line(where: string): Promise<{ readonly bytes: Buffer; readonly end: '\r\n' | '\n' }> {
    let end = this.#ahead.indexOf(LF)
    while (end === -1) {
      if (this.#ahead.length > MOST_AROUND) throw new BadMultipart(`a line ${where} is too long`)
      if (!(await this.#pull())) throw brokeOff(where)
      end = this.#ahead.indexOf(LF)
    }
    const line = this.#take(end + 1)
    const withReturn = line[end - 1] === CR
    return { bytes: line.subarray(0, withReturn ? end - 1 : end), end: withReturn ? '\r\n' : '\n' }
  }

  #take(length: number): Buffer {
    const taken = this.#ahead.subarray(0, length)
    this.#ahead = this.#ahead.subarray(length)
    this.taken += taken.length
    return taken
  }

  /** Waits until so many bytes are ahead; false where the answer ends before. */
  async #have(length: number): Promise<boolean> {
    while (this.#ahead.length < length) if (!(await this.#pull())) return false
    return true
  }

  async #pull(): Promise<boolean> {
    if (this.#ended) return false
    const { done, value } = await this.#chunks.next()
    if (done) {
      this.#ended = true
      return false
    }
    const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    this.#ahead = this.#ahead.length === 0 ? chunk : Buffer.concat([this.#ahead, chunk])
    return true
  }
}

function headersOf(lines: readonly string[]): PartHeaders {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon === -1) continue
    const name = line.slice(0, colon).trim().toLowerCase()
    if (!headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
  }
  return headers
}

function isPadding(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === SPACE || byte === TAB)
}

/** What makes a boundary the last one. */
function isClosing([first, second]: Uint8Array): boolean {
  return first === DASH && second === DASH
}

function brokeOff(where: string): BadMultipart {
  return new BadMultipart(`the answer broke off ${where}`)
}
