import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type JsonMember, JsonMembers } from './json-members.ts'

const LARGEST = 10_000

/** Reads in chunks of so many bytes, whose buffer is used again. */
function read(text: string | Buffer, chunkBytes = 16_384): { members: JsonMember[]; hasOpened: boolean } {
  const all = Buffer.from(text)
  const reader = new JsonMembers({ opened: 'media', largest: LARGEST })
  const chunk = Buffer.alloc(chunkBytes)
  const members: JsonMember[] = []
  for (let at = 0; at < all.length; at += chunkBytes) {
    const length = all.copy(chunk, 0, at)
    members.push(...reader.add(chunk.subarray(0, length)))
    chunk.fill(0)
  }
  reader.end()
  return { members, hasOpened: reader.hasOpened }
}

const outside = (key: string, value: unknown) => ({ key, value, isInside: false })
const inside = (key: string, value: unknown) => ({ key, value, isInside: true })

describe('An object that is read member by member', () => {
  test('gives those of the opened one by one, wherever it stands', () => {
    expect(
      read(' {"media" : {"a": {"b": [1, "}"]}, "c": null} ,\r\n\t"version":2, "last": "\\"é🎉\\u0041"}\n'),
    ).toEqual({
      members: [inside('a', { b: [1, '}'] }), inside('c', null), outside('version', 2), outside('last', '"é🎉A')],
      hasOpened: true,
    })
    expect(read('{}')).toEqual({ members: [], hasOpened: false })
    expect(read('{"media":{}}')).toEqual({ members: [], hasOpened: true })
    // Only there, and only an object.
    expect(read('{"x":{"media":{"a":1}},"media":[{"a":1}]}')).toEqual({
      members: [outside('x', { media: { a: 1 } }), outside('media', [{ a: 1 }])],
      hasOpened: false,
    })
    expect(read('{"media":{"media":{"a":1}}}').members).toEqual([inside('media', { a: 1 })])
  })

  test('is what JSON.parse makes of it, however it is cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.constantFrom(0, 1, '\t'),
        fc.integer({ min: 1, max: 40 }),
        (media, others, indent, chunkBytes) => {
          const { media: _, ...before } = others
          const text = JSON.stringify({ ...before, media, after: 1 }, null, indent)
          const { members } = read(text, chunkBytes)
          const of = (isInside: boolean) =>
            Object.fromEntries(members.filter((one) => one.isInside === isInside).map(({ key, value }) => [key, value]))
          expect({ ...of(false), media: of(true) }).toEqual(JSON.parse(text))
        },
      ),
      { numRuns: 200 },
    )
  })

  test('is refused where JSON.parse refuses it, and only there', () => {
    const whole = '{"version":-2.5e3,"media":{"a":{"b":[true,{"c":"\\\\\\""}]},"d":""},"e":null}'
    fc.assert(
      fc.property(
        fc.nat(whole.length),
        fc.nat(3),
        fc.constantFrom('', '{', '}', '[', ']', '"', ',', ':', '\\', '0', '-', 'e', ' ', '\n', '\u0001', '\uFEFF'),
        fc.integer({ min: 1, max: 30 }),
        (at, cut, put, chunkBytes) => {
          const text = whole.slice(0, at) + put + whole.slice(at + cut)
          const isJson = isObject(text)
          expect(
            outcomeOf(() => read(text, chunkBytes)),
            text,
          ).toBe(isJson ? 'read' : 'SyntaxError')
        },
      ),
      { numRuns: 2000 },
    )
  })

  const refused: readonly (readonly [string, string | Buffer, string])[] = [
    ['nothing', '', 'it ends after 0 bytes, in the middle'],
    ['a list', '[{"media":{}}]', 'at byte 0 there should be a `{`'],
    ['a byte order mark', '\uFEFF{}', 'at byte 0 there should be a `{`'],
    ['a cut one', '{"media":{"a":1}', 'it ends after 16 bytes, in the middle'],
    ['something behind it', '{} {}', 'at byte 3 there should be nothing more'],
    ['a key without quotes', '{a:1}', 'at byte 1 there should be a key or a `}`'],
    ['a comma too many', '{"a":1,}', 'at byte 7 there should be a key'],
    ['brackets that do not fit', '{"a":[1}}', 'what ends at byte 8 is no value'],
    ['brackets in a wrong order', '{"a":[{]}}', 'what ends at byte 9 is no value'],
    ['another encoding', Buffer.from('{"a":"\xe9"}', 'latin1'), 'what ends at byte 8 is not in UTF-8'],
    ['half a pair in UTF-8', Buffer.from('{"a":"\xed\xa0\x80"}', 'latin1'), 'what ends at byte 10 is not in UTF-8'],
    ['two to be opened', '{"media":{},"media":{}}', 'it has "media" twice'],
  ]
  test.each(refused)('is not %s', (_, text, message) => {
    expect(() => read(text)).toThrow(new SyntaxError(message))
  })

  test('has no member larger than is allowed: it is refused before it is in memory', () => {
    const largest = 'x'.repeat(LARGEST - 2)
    expect(read(`{"a":"${largest}"}`, 1000).members).toEqual([outside('a', largest)])
    for (const begin of ['{"a":"x', '{"a":[{"b":"', '{"', '{"a":1', '{"media":{"a":"x']) {
      const reader = new JsonMembers({ opened: 'media', largest: LARGEST })
      reader.add(Buffer.from(begin))
      const endless = () => {
        for (let n = 0; n < 11; n++) reader.add(Buffer.alloc(1000, begin.endsWith('"') ? '[' : '1'))
      }
      expect(endless).toThrow(new RangeError(`a member has more than ${LARGEST} bytes`))
    }
  })

  test('may be as deep as it is large', () => {
    const depth = 4000
    expect(read(`{"media":{"a":${'['.repeat(depth)}${']'.repeat(depth)}}}`).members).toHaveLength(1)
  })
})

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

function outcomeOf(work: () => unknown): string {
  try {
    work()
    return 'read'
  } catch (error) {
    return (error as Error).name
  }
}
