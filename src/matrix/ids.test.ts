import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatMxc, isMediaId, isServerName, isUserId, newMediaId, parseMxc, serverOf } from './ids.ts'

const mediaId = fc.stringMatching(/^[A-Za-z0-9_-]{1,255}$/)
const label = fc.stringMatching(/^[A-Za-z0-9-]{1,30}$/)
const port = fc.option(fc.integer({ min: 0, max: 99_999 }), { nil: undefined })
const host = fc.oneof(
  fc.ipV4(),
  fc.ipV6().map((address) => `[${address}]`),
  fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.')),
)
const serverName = fc.tuple(host, port).map(([name, number]) => (number === undefined ? name : `${name}:${number}`))

describe('server names', () => {
  test.each([
    'example.org',
    'localhost',
    'EXAMPLE.org',
    'xn--bcher-kva.example',
    'example.org:8448',
    'example.org.',
    '1.2.3.4',
    '1.2.3.4:1234',
    '[::1]',
    '[1234:5678::abcd]:5678',
    '[::ffff:1.2.3.4]',
    'a'.repeat(255),
  ])('%s is one', (name) => {
    expect(isServerName(name)).toBe(true)
  })

  test.each([
    '',
    '..',
    '.',
    '.example.org',
    'example..org',
    'example.org:',
    'example.org:123456',
    'example.org:port',
    'example.org:80:80',
    'ex_ample.org',
    'example.org/',
    'example.org\n',
    'example.org\0',
    'ex ample.org',
    'bücher.example',
    '%2e%2e',
    '::1',
    '[::1',
    '[]',
    '[:::]',
    '[fe80::1%eth0]',
    '[example.org]',
    'user@example.org',
    'a'.repeat(256),
  ])('%j is none', (name) => {
    expect(isServerName(name)).toBe(false)
  })

  test('every host name, IPv4 and IPv6 address is one, with and without a port', () => {
    fc.assert(fc.property(serverName, isServerName))
  })

  test('none can lead out of a folder, whatever its characters', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('.', '/', '%', '\\', '[', ']', ':', 'a', '1', '\0', '-'), maxLength: 12 }),
        (text) => {
          fc.pre(isServerName(text))
          expect(text).not.toMatch(/^\.|\.\.|[/\\%\0]/)
        },
      ),
    )
  })
})

describe('media ids', () => {
  test.each(['a', '_', '-', 'GerZNDnDZVjsOtardLuwfIBg', 'a'.repeat(255)])('%s is one', (id) => {
    expect(isMediaId(id)).toBe(true)
  })

  test.each(['', '..', 'a/b', 'a%2Fb', 'a.b', 'a b', 'a\n', 'a\0', 'ä', 'a'.repeat(256)])('%j is none', (id) => {
    expect(isMediaId(id)).toBe(false)
  })

  test('ours have 32 letters and digits, are valid, and do not repeat', () => {
    const ids = Array.from({ length: 1000 }, () => newMediaId(randomBytes))
    expect(new Set(ids).size).toBe(1000)
    for (const id of ids) {
      expect(id).toMatch(/^[a-z2-7]{32}$/)
      expect(isMediaId(id)).toBe(true)
    }
  })

  test('ours use every bit of 160: each of the 32 letters comes up in each place', () => {
    const ids = Array.from({ length: 32 }, (_, value) => newMediaId((bytes) => new Uint8Array(bytes).fill(value)))
    for (const place of [0, 15, 31]) expect(new Set(ids.map((id) => id[place])).size).toBe(32)
  })
})

describe('MXC URIs', () => {
  test('what is formatted is parsed to the same', () => {
    fc.assert(
      fc.property(serverName, mediaId, (origin, id) => {
        expect(parseMxc(formatMxc({ origin, mediaId: id }))).toEqual({ origin, mediaId: id })
      }),
    )
  })

  test('a query string is cut off, as MMR does', () => {
    expect(parseMxc('mxc://example.org/abc?width=1/../..')).toEqual({ origin: 'example.org', mediaId: 'abc' })
  })

  test.each([
    '',
    'mxc://',
    'mxc:///abc',
    'mxc://example.org',
    'mxc://example.org/',
    'mxc://example.org/abc/',
    'mxc://example.org/abc/def',
    'mxc://example.org//abc',
    'mxc://example.org/../abc',
    'mxc://example.org/abc#fragment',
    'mxc://example.org/mxc%3A%2F%2Fexample.org%2Fabc',
    'mxc://../abc',
    'MXC://example.org/abc',
    ' mxc://example.org/abc',
    'https://example.org/abc',
    'example.org/abc',
  ])('%j is none', (text) => {
    expect(parseMxc(text)).toBeUndefined()
  })

  test('whatever the text, the answer is nothing or two valid halves', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string().map((rest) => `mxc://${rest}`),
      fc.string().map((id) => `mxc://a/${id}`),
    )
    fc.assert(
      fc.property(text, (anything) => {
        const mxc = parseMxc(anything)
        if (mxc) expect(isServerName(mxc.origin) && isMediaId(mxc.mediaId)).toBe(true)
      }),
    )
  })
})

describe('user ids', () => {
  test.each([
    ['@alice:example.org', 'example.org'],
    ['@alice:example.org:8448', 'example.org:8448'],
    ['@alice:[::1]:8448', '[::1]:8448'],
    ['@Älice with spaces:example.org', 'example.org'],
    ['@:example.org', 'example.org'],
  ])('%s is a user of %s', (userId, server) => {
    expect(serverOf(userId)).toBe(server)
    expect(isUserId(userId)).toBe(true)
  })

  test.each([
    '',
    '@',
    'alice:example.org',
    '@alice',
    '@alice:',
    '@al\0ice:example.org',
    '@a:b/c',
    `@${'ä'.repeat(127)}:a`,
  ])('%j is nobody', (userId) => {
    expect(serverOf(userId)).toBeUndefined()
    expect(isUserId(userId)).toBe(false)
  })
})
