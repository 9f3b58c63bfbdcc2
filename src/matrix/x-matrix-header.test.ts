import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readXMatrix, UnclearHeader, writeXMatrix } from './x-matrix-header.ts'

const SIGNATURE = Buffer.from(Array.from({ length: 64 }, (_, at) => at * 3))
const SIG = SIGNATURE.toString('base64').replaceAll('=', '')
const PLAIN = `X-Matrix origin="a.example",destination="b.example",key="ed25519:a_1",sig="${SIG}"`
const read = (...values: string[]) => readXMatrix(values.flatMap((value) => ['Authorization', value]))
const ENTRY = { origin: 'a.example', destination: 'b.example', keyId: 'ed25519:a_1', signature: SIGNATURE }

describe('an X-Matrix header', () => {
  test('is written as the specification asks senders to', () => {
    expect(writeXMatrix({ origin: 'a.example', destination: 'b.example', key: 'ed25519:a_1', sig: SIG })).toBe(PLAIN)
  })

  test.each([
    ['as servers send it', PLAIN],
    [
      'with other spellings of the names',
      PLAIN.replace('X-Matrix', 'x-mATRIX').replace('origin', 'Origin').replace('sig', 'SIG'),
    ],
    [
      'with spaces and tabs wherever they may be',
      ` \tX-Matrix\t  ${PLAIN.slice(9).replaceAll(',', ' ,\t ').replaceAll('=', ' = ').replace(' = "', '= "')} `,
    ],
    ['in another order', `X-Matrix sig="${SIG}",key="ed25519:a_1",destination="b.example",origin="a.example"`],
    ['without quotes', `X-Matrix origin=a.example,destination=b.example,key=ed25519:a_1,sig=${SIG}`],
    ['with a padded signature', PLAIN.replace(SIG, `${SIG}==`)],
    [
      'with a padded signature without quotes',
      `X-Matrix origin=a.example,destination=b.example,key=ed25519:a_1,sig=${SIG}==`,
    ],
    ['with escapes in quotes', PLAIN.replace('a.example', String.raw`a\.ex\ample`)],
    ['with parameters that nobody knows', `${PLAIN},future="a,b=\\"c\\""`],
    ['with empty places in the list', `X-Matrix ,, ${PLAIN.slice(9).replaceAll(',', ',,')},`],
  ])('is read %s', (_, value) => {
    expect(read(value)).toEqual([ENTRY])
  })

  test('may name an IPv6 address and a port', () => {
    const [entry] = read(`X-Matrix origin=[2001:db8::1]:8448,key="ed25519:a_1",sig="${SIG}"`)
    expect(entry).toMatchObject({ origin: '[2001:db8::1]:8448', destination: undefined })
  })

  test('may be there several times, for several keys, and between others', () => {
    const second = PLAIN.replace('a_1', 'a_2')
    expect(read(PLAIN, 'Bearer abc', second).map(({ keyId }) => keyId)).toEqual(['ed25519:a_1', 'ed25519:a_2'])
    expect(readXMatrix(['Host', PLAIN, 'AUTHORIZATION', second]).map(({ keyId }) => keyId)).toEqual(['ed25519:a_2'])
  })

  test('may have been joined with another by a proxy', () => {
    expect(read(`${PLAIN}, ${PLAIN.replace('a_1', 'a_2')}`).map(({ keyId }) => keyId)).toEqual([
      'ed25519:a_1',
      'ed25519:a_2',
    ])
  })

  test.each(['Bearer abc', 'X-Matrixx origin="a"', 'Basic X-Matrix', ''])('is not: %j', (value) => {
    expect(read(value)).toEqual([])
  })

  test.each([
    ['nothing in it', 'X-Matrix', 'has no origin'],
    ['no origin', PLAIN.replace('origin="a.example",', ''), 'has no origin'],
    ['an empty origin', PLAIN.replace('a.example', ''), 'has no origin'],
    ['no key', PLAIN.replace('key=', 'kee='), 'has no key'],
    ['no signature', PLAIN.replace('sig=', 'signature='), 'has no sig'],
    ['a name twice', `${PLAIN},Origin="c.example"`, 'has origin twice'],
    ['another algorithm', PLAIN.replace('ed25519:', 'rsa:'), 'ed25519:<version>'],
    ['a short signature', PLAIN.replace(SIG, SIG.slice(4)), '64 bytes in base64'],
    ['a signature in another alphabet', PLAIN.replace(SIG, `${SIG.slice(0, -2)}-_`), '64 bytes in base64'],
    ['a quote that does not end', PLAIN.slice(0, -1), 'no value for sig'],
    ['a missing value', PLAIN.replace('"b.example"', ''), 'no value for destination'],
    ['a word without a value', `${PLAIN},hello`, 'no list of name="value"'],
    ['no comma between', PLAIN.replace(',key', ' key'), 'no comma after destination'],
  ])('with %s is refused', (_, value, message) => {
    expect(() => read(value)).toThrow(UnclearHeader)
    expect(() => read(value)).toThrow(message)
  })
})

const spelled = (name: string) =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => Array.from(name, (letter, at) => (upper[at] ? letter.toUpperCase() : letter)).join(''))
const quoted = (value: string) =>
  fc
    .array(fc.boolean(), { minLength: value.length, maxLength: value.length })
    .map((escaped) => `"${Array.from(value, (letter, at) => (escaped[at] ? `\\${letter}` : letter)).join('')}"`)

describe('any header', () => {
  test('says the same however it is written', () => {
    const spaces = fc.stringMatching(/^[ \t]{0,3}$/)
    const parameter = (name: string, value: string) =>
      fc
        .tuple(spelled(name), spaces, spaces, fc.oneof(fc.constant(value), quoted(value)))
        .map(([word, before, after, text]) => `${word}${before}=${after}${text}`)
    const all = fc.tuple(
      parameter('origin', 'a.example'),
      parameter('destination', 'b.example'),
      parameter('key', 'ed25519:a_1'),
      parameter('sig', SIG),
    )
    const header = fc.tuple(
      spelled('x-matrix'),
      all.chain((list) => fc.shuffledSubarray(list, { minLength: 4 })),
      spaces,
      spaces,
    )
    fc.assert(
      fc.property(header, ([scheme, list, before, after]) => {
        expect(read(`${scheme} ${list.join(`${before},${after}`)}`)).toEqual([ENTRY])
      }),
    )
  })

  test('whatever it is, is understood or refused, in a time that grows with its length only', () => {
    const pieces = fc.constantFrom(
      'X-Matrix ',
      'origin',
      '=',
      '"',
      '\\',
      ',',
      ' ',
      '\t',
      'sig',
      'key',
      'a',
      SIG,
      'ed25519:1',
      '[::1]:8',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 40 }), (parts) => {
        try {
          for (const entry of read(`X-Matrix ${parts.join('')}`)) expect(entry.signature).toHaveLength(64)
        } catch (error) {
          expect(error).toBeInstanceOf(UnclearHeader)
        }
      }),
    )
    // What is quadratic takes minutes for these; patience is what the test's own limit says.
    for (const piece of ['a=', '"', '\\', 'a="\\', ' ', ',', 'X-Matrix ', 'X-Matrix a="', 'x-matrix\t']) {
      const value = `X-Matrix ${piece.repeat(2_000_000 / piece.length)}`
      expect(() => read(value)).toThrow()
    }
  })
})
