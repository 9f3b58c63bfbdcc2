/** Any value that JSON can say, as Matrix has it: numbers are whole. Objects have no prototype, so `__proto__` is a key like others. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

export interface JsonObject {
  readonly [key: string]: Json | undefined
}

/** A text that is no JSON, or none that every reader would understand in the same way. */
export class UnclearJson extends Error {
  override readonly name = 'UnclearJson'
}

const DEEPEST = 64
const SPACE = /[ \t\r\n]*/y
const WORD = /true|false|null/y
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/sy
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

/**
 * Reads JSON that a signature covers (RFC 8259). Refused is whatever two readers could take for two things: a key that an object
 * has twice, numbers with decimals, exponents or beyond ±(2^53 − 1), halves of surrogate pairs, bytes that are no UTF-8. Also
 * refused: more than 64 levels.
 *
 * @throws {UnclearJson} that names the place
 */
export function readJson(bytes: Uint8Array): Json {
  return new Reader(decode(bytes)).readWhole()
}

/** The value if it is an object, else undefined. */
export function asObject(value: Json | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !isList(value) ? value : undefined
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new UnclearJson('the JSON is not in UTF-8', { cause })
  }
}

function unescape(literal: string): string | undefined {
  try {
    return String(JSON.parse(literal))
  } catch {
    return undefined
  }
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  readWhole(): Json {
    const value = this.#value(0)
    this.#skipSpace()
    if (this.#at < this.#text.length) throw this.#unclear('something follows after the end')
    return value
  }

  #value(depth: number): Json {
    if (depth > DEEPEST) throw this.#unclear(`more than ${DEEPEST} levels`)
    this.#skipSpace()
    if (this.#take('{')) return this.#object(depth)
    if (this.#take('[')) return this.#list(depth)
    if (this.#text[this.#at] === '"') return this.#string()
    const word = this.#match(WORD)
    if (word !== undefined) return JSON.parse(word)
    return this.#number()
  }

  #object(depth: number): JsonObject {
    const object: Record<string, Json> = Object.create(null)
    this.#skipSpace()
    if (this.#take('}')) return object
    do {
      this.#skipSpace()
      const key = this.#string()
      if (key in object) throw this.#unclear(`the key ${JSON.stringify(key)} for the second time`)
      this.#skipSpace()
      if (!this.#take(':')) throw this.#unclear('no colon after a key')
      object[key] = this.#value(depth + 1)
      this.#skipSpace()
    } while (this.#take(','))
    if (!this.#take('}')) throw this.#unclear('an object that does not end')
    return object
  }

  #list(depth: number): readonly Json[] {
    const list: Json[] = []
    this.#skipSpace()
    if (this.#take(']')) return list
    do {
      list.push(this.#value(depth + 1))
      this.#skipSpace()
    } while (this.#take(','))
    if (!this.#take(']')) throw this.#unclear('a list that does not end')
    return list
  }

  #string(): string {
    const literal = this.#match(STRING)
    if (literal === undefined) throw this.#unclear('no text where one has to be')
    const text = unescape(literal)
    if (text === undefined) throw this.#unclear('a text with a control character or an unknown escape')
    if (!text.isWellFormed()) throw this.#unclear('half a surrogate pair')
    return text
  }

  #number(): number {
    const literal = this.#match(NUMBER)
    if (literal === undefined) throw this.#unclear('no value where one has to be')
    const number = Number(literal)
    if (!/^-?\d+$/.test(literal) || !Number.isSafeInteger(number)) {
      throw this.#unclear('a number that is not whole, or beyond ±(2^53 − 1)')
    }
    return number === 0 ? 0 : number
  }

  #skipSpace(): void {
    this.#match(SPACE)
  }

  #take(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false
    this.#at++
    return true
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }

  #unclear(what: string): UnclearJson {
    return new UnclearJson(`the JSON has ${what} (at character ${this.#at})`)
  }
}
