import type { Buffer } from 'node:buffer'
import { decodeBase64, SIGNATURE_BYTES } from './keys/signing-key.ts'

/** What one `Authorization: X-Matrix …` says. Nothing of it is proved yet. */
export interface XMatrix {
  readonly origin: string
  /** Servers from before version 1.3 of the specification leave it out. */
  readonly destination: string | undefined
  /** `ed25519:<version>`. */
  readonly keyId: string
  readonly signature: Buffer
}

/** A header that begins with X-Matrix and goes on in no way that can be understood. */
export class UnclearHeader extends Error {
  override readonly name = 'UnclearHeader'
}

const SCHEME = /[ \t]*x-matrix(?:[ \t]+|$)/iy
const NAME = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const SEPARATORS = /[ \t,]*/y
const SPACE = /[ \t]*/y
const QUOTED = /"(?:[^"\\]|\\.)*"/sy
/** More than RFC 9110 allows without quotes: server names and key ids have colons, IPv6 addresses brackets, base64 `/` and `=`. */
const BARE = /[^ \t,"]+/y

/**
 * What the `Authorization` headers of a request say in the scheme X-Matrix (specification, "Request Authentication"): one entry a
 * header, in any order and spelling of the names that RFC 9110 allows. Headers of other schemes are none of ours. Takes time in
 * proportion to their length.
 *
 * @param rawHeaders names and values in turn, as Node's `rawHeaders`: `headers` keeps the first of several `Authorization` only
 * @throws {UnclearHeader}
 */
export function readXMatrix(rawHeaders: readonly string[]): readonly XMatrix[] {
  const found: XMatrix[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() !== 'authorization') continue
    const parser = new Parser(rawHeaders[at + 1] ?? '')
    while (parser.takeScheme()) found.push(understand(parser.takeParameters()))
  }
  return found
}

/** The value of an `Authorization` header; none of the four can hold a quote or a backslash. */
export function writeXMatrix(header: { readonly [Key in 'origin' | 'destination' | 'key' | 'sig']: string }): string {
  const { origin, destination, key, sig } = header
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key}",sig="${sig}"`
}

function understand(parameters: ReadonlyMap<string, string>): XMatrix {
  const need = (name: string) => {
    const value = parameters.get(name)
    if (value) return value
    throw new UnclearHeader(`the X-Matrix header has no ${name}`)
  }
  const [origin, keyId, sig] = [need('origin'), need('key'), need('sig')]
  if (!/^ed25519:[^\s"\\]{1,100}$/.test(keyId)) throw new UnclearHeader('the key has to be ed25519:<version>')
  const signature = decodeBase64(sig)
  if (signature?.length !== SIGNATURE_BYTES) throw new UnclearHeader(`sig has to be ${SIGNATURE_BYTES} bytes in base64`)
  return { origin, destination: parameters.get('destination'), keyId, signature }
}

class Parser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  takeScheme(): boolean {
    return this.#match(SCHEME) !== undefined
  }

  /** Up to the end, or to where a proxy has joined another header with a comma. */
  takeParameters(): ReadonlyMap<string, string> {
    const parameters = new Map<string, string>()
    this.#match(SEPARATORS)
    while (this.#at < this.#text.length && !this.#isAtScheme()) {
      const [name, value] = this.#parameter()
      if (parameters.has(name)) throw new UnclearHeader(`the X-Matrix header has ${name} twice`)
      parameters.set(name, value)
      const separators = this.#match(SEPARATORS) ?? ''
      if (!separators.includes(',') && this.#at < this.#text.length) {
        throw new UnclearHeader(`the X-Matrix header has no comma after ${name}`)
      }
    }
    return parameters
  }

  #parameter(): readonly [name: string, value: string] {
    const name = this.#match(NAME)?.toLowerCase()
    this.#match(SPACE)
    if (name === undefined || this.#text[this.#at] !== '=')
      throw new UnclearHeader('the X-Matrix header is no list of name="value"')
    this.#at++
    this.#match(SPACE)
    const quoted = this.#match(QUOTED)
    const value = quoted === undefined ? this.#match(BARE) : quoted.slice(1, -1).replace(/\\(.)/gs, '$1')
    if (value === undefined) throw new UnclearHeader(`the X-Matrix header has no value for ${name}`)
    return [name, value]
  }

  /** `X-Matrix` as a parameter's name would be followed by `=`. */
  #isAtScheme(): boolean {
    const before = this.#at
    const isScheme = this.takeScheme() && this.#text[this.#at] !== '='
    this.#at = before
    return isScheme
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }
}
