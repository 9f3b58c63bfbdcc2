import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalJson } from './canonical-json.ts'
import { type Json, readJson } from './json.ts'

const read = (text: string) => readJson(Buffer.from(text))
const written = (value: Json) => canonicalJson(value).toString()

/** Every value that canonical JSON can say; keys and texts with code points from everywhere. */
const anyJson = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ unit: 'binary' }),
    fc.array(tie('value')),
    fc.dictionary(fc.string({ unit: 'binary', maxLength: 4 }), tie('value'), { noNullPrototype: true }),
  ),
})).value

const points = (text: string) => Array.from(text, (letter) => letter.codePointAt(0) ?? 0)
const before = (one: number[], other: number[]) => {
  const at = one.findIndex((point, index) => point !== other[index])
  return at < 0 ? one.length <= other.length : (one[at] ?? 0) < (other[at] ?? -1)
}

describe('canonical JSON is written', () => {
  test('as in the examples of the specification', () => {
    const auth = { success: true, mxid: '@john.doe:example.com', profile: { display_name: 'John', three_pids: [] } }
    expect(written({ one: 1, two: 'Two' })).toBe('{"one":1,"two":"Two"}')
    expect(written({ auth })).toBe(
      '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John","three_pids":[]},"success":true}}',
    )
    expect(written({ 本: 2, 日: 1 })).toBe('{"日":1,"本":2}')
    expect(written({ a: '日' })).toBe('{"a":"日"}')
  })

  test('with keys in the order of their code points, where JavaScript would put U+1F600 before U+FF61', () => {
    expect(['\uff61', '\u{1f600}'].sort()).toEqual(['\u{1f600}', '\uff61'])
    const keys = ['\u{1f600}', '\uff61', '\ue000', 'z', '', 'a\u{1f600}', 'a\uff61', 'a', '\u{10ffff}']
    const sorted = ['', 'a', 'a\uff61', 'a\u{1f600}', 'z', '\ue000', '\uff61', '\u{1f600}', '\u{10ffff}']
    const text = written(Object.fromEntries(keys.map((key) => [key, 1])))
    expect(text).toBe(`{${sorted.map((key) => `"${key}":1`).join(',')}}`)
  })

  test('with numbers and escapes in their shortest form', () => {
    expect(written([-0, 9007199254740991, -9007199254740991])).toBe('[0,9007199254740991,-9007199254740991]')
    expect(written('"\\/\b\t\n\f\r\u0001\u001f\u007f\u2028é')).toBe(
      '"\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u001f\u007f\u2028é"',
    )
  })

  test.each([1.5, 2 ** 53, -(2 ** 53), Infinity, NaN, '\ud800', { '\udc00': 1 }] as Json[])('never for %j', (value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError)
  })

  test('so that reading and writing it again changes nothing', () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const bytes = canonicalJson(value)
        const again = readJson(bytes)
        expect(JSON.stringify(again)).toBe(JSON.stringify(JSON.parse(bytes.toString())))
        expect(canonicalJson(again)).toEqual(bytes)
      }),
    )
  })

  test('with keys in the order that comparing code points one by one gives', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: 'binary', maxLength: 5 }), { minLength: 2 }), (keys) => {
        const order = Object.keys(JSON.parse(written(Object.fromEntries(keys.map((key) => [`k${key}`, 1])))))
        const sorted = order.map(points)
        for (const [at, one] of sorted.slice(0, -1).entries()) expect(before(one, sorted[at + 1] ?? [])).toBe(true)
      }),
    )
  })
})

describe('JSON that a signature covers is read', () => {
  test('whatever its spaces', () => {
    expect(read(' \n{ "a" : [ 1 , -0 , true , null ] ,\t"b":{} }\r\n')).toEqual({ a: [1, 0, true, null], b: {} })
  })

  test('with __proto__ as a key like any other', () => {
    const value = read('{"__proto__":{"x":1},"constructor":2}')
    expect(written(value)).toBe('{"__proto__":{"x":1},"constructor":2}')
  })

  test.each([
    ['a key twice', '{"a":1,"a":1}', 'the key "a" for the second time (at character'],
    ['a key twice, once escaped', '{"a":1,"\\u0061":2}', 'second time'],
    ['decimals', '1.0', 'not whole'],
    ['exponents', '1e3', 'not whole'],
    ['numbers beyond 2^53', '9007199254740992', 'beyond'],
    ['numbers far beyond 2^53', '-99999999999999999999999', 'beyond'],
    ['half a surrogate pair', '"\\ud83d"', 'surrogate'],
    ['control characters', '"a\nb"', 'control character'],
    ['unknown escapes', '"\\x41"', 'unknown escape'],
    ['a leading zero', '01', 'follows'],
    ['a plus sign', '+1', 'no value'],
    ['a comma too many', '[1,]', 'no value'],
    ['a comma too many in an object', '{"a":1,}', 'no text'],
    ['two values', '{} {}', 'follows'],
    ['nothing', '', 'no value'],
    ['an end too early', '{"a":[1', 'does not end'],
    ['a byte order mark', '\ufeff{}', 'no value'],
    ['too many levels', '['.repeat(200) + ']'.repeat(200), 'levels'],
  ])('never with %s', (_, text, message) => {
    expect(() => read(text)).toThrow(message)
  })

  test('never with bytes that are no UTF-8', () => {
    expect(() => readJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow('not in UTF-8')
  })

  test('as JSON.parse does, or not at all', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.json().map((text) => text.replace(/.$/, '')),
        ),
        (text) => {
          let value: Json
          try {
            value = read(text)
          } catch {
            return
          }
          expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(text), (_, part) => (part === 0 ? 0 : part)))
        },
      ),
    )
  })
})
