import { Buffer } from 'node:buffer'
import { isList, type Json, type JsonObject } from './json.ts'

/**
 * The one way to write a value down that everybody who signs it agrees on (specification, appendix "Canonical JSON"): UTF-8, no
 * spaces, keys in the order of their code points, numbers whole. Members that are `undefined` are left out.
 *
 * @throws {TypeError} for what it cannot say: numbers with decimals or beyond ±(2^53 − 1), halves of surrogate pairs
 */
export function canonicalJson(value: Json): Buffer {
  return Buffer.from(write(value))
}

function write(value: Json): string {
  if (typeof value === 'string') return writeText(value)
  if (typeof value === 'number') return writeNumber(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (isList(value)) return `[${value.map(write).join(',')}]`
  return writeObject(value)
}

function writeObject(object: JsonObject): string {
  const members: string[] = []
  for (const key of Object.keys(object).sort(byCodePoint)) {
    const value = object[key]
    if (value !== undefined) members.push(`${writeText(key)}:${write(value)}`)
  }
  return `{${members.join(',')}}`
}

/** JSON.stringify escapes exactly what canonical JSON does, in the same way. */
function writeText(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('canonical JSON cannot hold half a surrogate pair')
  return JSON.stringify(text)
}

function writeNumber(number: number): string {
  if (!Number.isSafeInteger(number)) throw new TypeError(`canonical JSON cannot hold the number ${number}`)
  return String(number)
}

/** JavaScript compares UTF-16 units, and would put U+1F600 (which begins with 0xD83D) before U+FF61. */
function byCodePoint(one: string, other: string): number {
  const shorter = Math.min(one.length, other.length)
  for (let at = 0; at < shorter; at++) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)]
    if (a !== b) return lift(a) - lift(b)
  }
  return one.length - other.length
}

/** Puts surrogates (of code points from U+10000) behind all other units. */
function lift(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
