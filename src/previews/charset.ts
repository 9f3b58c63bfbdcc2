import { Buffer, isAscii, isUtf8 } from 'node:buffer'
import { TextDecoder } from 'node:util'

/** How much of a page is searched for its own word about its charset. Source: HTML 13.2.3.2 asks for 1024; many pages take longer. */
export const CHARSET_BYTES = 8192

const BYTE_ORDER_MARKS = [
  ['utf-8', [0xef, 0xbb, 0xbf]],
  ['utf-16le', [0xff, 0xfe]],
  ['utf-16be', [0xfe, 0xff]],
  // A `<` without a mark.
  ['utf-16le', [0x3c, 0x00]],
  ['utf-16be', [0x00, 0x3c]],
] as const

const COMMENT = /<!--[^]*?(?:-->|$)/g
const META = /<meta\s[^<>]{0,1000}?\bcharset\s*=\s*["']?\s*([^\s"'/<>;]{1,40})/gi
const XML_DECLARATION = /^\s*<\?xml\s[^<>]{0,200}?\bencoding\s*=\s*["']\s*([^\s"'<>]{1,40})/i

/**
 * Makes text of a page's bytes, piece by piece. The charset is what counts first of: a byte order mark; the `Content-Type` header;
 * `meta`; the XML declaration. Names that nobody knows count nothing. Pages that call themselves UTF-8 or nothing, and are not UTF-8,
 * are windows-1252.
 */
export class PageDecoder {
  readonly #header: string | undefined
  #decoder: TextDecoder | undefined
  /** Whether it has been seen that a page that should be UTF-8 is. */
  #sure = false
  /** The begin of a character whose rest is still to come, of a page that is not sure to be UTF-8. */
  #rest: Buffer = Buffer.alloc(0)

  /** @param header the charset of the `Content-Type` header, if it names one */
  constructor(header: string | undefined) {
    this.#header = header
  }

  /** The text of the next bytes; the first call should bring `CHARSET_BYTES`, or all there are. */
  decode(bytes: Buffer): string {
    this.#decoder ??= this.#decoderFor(bytes)
    if (this.#sure) return this.#decodeStream(bytes)
    const whole = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const begun = begunCharacter(whole)
    this.#rest = whole.subarray(whole.length - begun)
    const text = this.#decodeUnsure(whole.subarray(0, whole.length - begun))
    return this.#sure ? text + this.#takeRest() : text
  }

  /** The text of what was left over. */
  end(): string {
    if (!this.#decoder) return ''
    return this.#takeRest() + this.#decoder.decode()
  }

  #decoderFor(bytes: Buffer): TextDecoder {
    const label = declaredCharset(bytes.subarray(0, CHARSET_BYTES), this.#header) ?? 'utf-8'
    this.#sure = label !== 'utf-8'
    return new TextDecoder(label)
  }

  #takeRest(): string {
    const rest = this.#rest
    this.#rest = Buffer.alloc(0)
    return this.#sure ? this.#decodeStream(rest) : this.#decodeUnsure(rest)
  }

  #decodeStream(bytes: Buffer): string {
    return this.#decoder?.decode(bytes, { stream: true }) ?? ''
  }

  #decodeUnsure(bytes: Buffer): string {
    if (!isAscii(bytes)) {
      this.#sure = true
      if (!looksLikeUtf8(bytes)) this.#decoder = new TextDecoder('windows-1252')
    }
    return this.#decodeStream(bytes)
  }
}

/** The charset that a page names, by the name that `TextDecoder` has for it; undefined if it names none that is known. */
function declaredCharset(begin: Buffer, header: string | undefined): string | undefined {
  const mark = BYTE_ORDER_MARKS.find(([, bytes]) => bytes.every((byte, at) => begin[at] === byte))
  if (mark) return mark[0]
  const text = begin.toString('latin1').replace(COMMENT, '')
  const named = [...text.matchAll(META), XML_DECLARATION.exec(text)].map((found) => found?.[1])
  // A page whose ASCII could be read so far is not what it says in UTF-16.
  const known = named.map(knownCharset).map((charset) => (charset?.startsWith('utf-16') ? 'utf-8' : charset))
  return [knownCharset(header), ...known].find((charset) => charset !== undefined)
}

/** Takes names as they are found: in quotes of any kind, `UTF_8`, with a comma or semicolon behind. */
function knownCharset(name: string | undefined): string | undefined {
  const bare = name?.replaceAll(/["'`“”‘’\\\s]|[;,].*$/g, '')
  if (!bare) return undefined
  for (const label of [bare, bare.replaceAll('_', '-')]) {
    try {
      return new TextDecoder(label).encoding
    } catch {
      // Tried as it is and with the usual hyphens; a name that is no charset's is passed over, as browsers do.
    }
  }
  return undefined
}

/** Whether more characters beyond ASCII are right in UTF-8 than wrong: a character cut in two by its site proves nothing. */
function looksLikeUtf8(bytes: Buffer): boolean {
  if (isUtf8(bytes)) return true
  const text = new TextDecoder('utf-8').decode(bytes)
  let right = 0
  let wrong = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0xfffd) wrong++
    else if (code > 0x7f) right++
  }
  return right > wrong
}

/** How many bytes at the end could be the begin of a character in UTF-8 (0 to 3). */
function begunCharacter(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0
  }
  return 0
}
