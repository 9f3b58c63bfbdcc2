import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { urlPattern } from './url-patterns.ts'

function matches(pattern: string, url: string): boolean | undefined {
  return urlPattern(pattern)?.matches(new URL(url))
}

describe('A pattern stands for', () => {
  test.each([
    ['a host, with all its pages, over http and https, at all ports', 'example.org', 'http://example.org:8080/a?b#c'],
    ['a host in other letters', 'Example.ORG', 'https://EXAMPLE.org/'],
    ['a host with the dot of the root', 'example.org', 'https://example.org./'],
    ['a host written with that dot', 'example.org.', 'https://example.org/'],
    ['hosts below another', '*.example.org', 'https://a.b.example.org/'],
    ['hosts that begin alike', 'ads*', 'https://ads3.example.org/'],
    ['everything', '*', 'https://example.org/'],
    ['what is below a path', 'example.org/private/*', 'https://example.org/private/a/b'],
    ['that path in other letters', 'example.org/Private/*', 'https://example.org/pRIVATE/a'],
    ['a path on all hosts below', '*.example.org/private*', 'https://a.example.org/private'],
    ['a path, with whatever query', 'example.org/watch', 'https://example.org/watch?v=1'],
    ['a query', 'example.org/watch?v=*', 'https://example.org/watch?v=1'],
    ['a port', 'example.org:8443', 'https://example.org:8443/'],
    ['the usual port', 'example.org:443', 'https://example.org/'],
    ['a scheme', 'http://example.org', 'http://example.org/'],
    ['an address, in its other spellings', '127.0.0.1', 'http://2130706433/'],
    ['an address in octal', '127.0.0.1', 'http://0177.1/'],
    ['an IPv6 address, however it is written', '[2001:0db8::1]', 'http://[2001:db8:0:0::1]/'],
    ['some IPv6 addresses', '[2001:db8:*]', 'http://[2001:db8::1]/'],
    ['addresses', '10.*', 'http://10.0.0.1/'],
  ])('%s', (_, pattern, url) => {
    expect(matches(pattern, url)).toBe(true)
  })

  test.each([
    ['the host above', '*.example.org', 'https://example.org/'],
    ['hosts below', 'example.org', 'https://www.example.org/'],
    ['hosts that end alike', 'example.org', 'https://notexample.org/'],
    ['hosts that begin alike', 'example.org', 'https://example.org.evil.test/'],
    ['a host in the path', 'example.org', 'https://evil.test/example.org'],
    ['a host in the query', '*.example.org', 'https://evil.test/?a.example.org'],
    ['a host that is a user’s name', 'example.org', 'https://example.org@evil.test/'],
    ['another path', 'example.org/private/*', 'https://example.org/public/'],
    ['another port', 'example.org:8443', 'https://example.org/'],
    ['another scheme', 'https://example.org', 'http://example.org/'],
    ['a path in the query', 'example.org/private/*', 'https://example.org/?/private/a'],
    ['an address of the same first digit', '1.*.example.org', 'https://10.example.org/'],
  ])('not %s', (_, pattern, url) => {
    expect(matches(pattern, url)).toBe(false)
  })
})

const ways = [
  'https://example.org//private/a',
  'https://example.org/./private/a',
  'https://example.org/b/../private/a',
  'https://example.org/b/%2e%2e/private/a',
  'https://example.org/b/..%2fprivate/a',
  String.raw`https://example.org\private\a`,
  'https://example.org/b/..%5cprivate/a',
  'https://example.org/%70rivate/a',
  'https://example.org/%50RIVATE%2fa',
  'https://example.org/%2570rivate/a',
  'https://example.org/%252570rivate/a',
  'https://user:password@example.org/private/a',
  'https://ｅｘａｍｐｌｅ.org/private/a',
  'https://example。org/private/a',
  'https://ex%61mple.org/private/a',
  'https://example.org..:443/private/a',
]

test.each(ways)('A page is forbidden in each of the ways to write its address: %s', (url) => {
  const address = URL.parse(url)
  // What is no address is not fetched either.
  if (address) expect(urlPattern('example.org/private/*')?.matches(address)).toBe(true)
})

test('A part of a path that is called like the one above, or encoded twice, does not lead out of what is forbidden', () => {
  expect(matches('example.org/a/*', 'https://example.org/a/%252e%252e/b')).toBe(true)
})

test.each([
  ['bücher.example', 'https://xn--bcher-kva.example/'],
  ['xn--bcher-kva.example', 'https://BÜCHER.example/'],
  ['*.bücher.example', 'https://www.xn--bcher-kva.example/'],
  ['*.xn--bcher-kva.example', 'https://www.bücher.example/'],
  ['*bücher*', 'https://xn--bcher-kva.example/'],
  ['*.例え。テスト', 'https://a.xn--r8jz45g.xn--zckzah/'],
  ['straße.example/ä*', 'https://xn--strae-oqa.example/%C3%A4b'],
])('%s stands for names in other scripts: %s', (pattern, url) => {
  expect(matches(pattern, url)).toBe(true)
})

test.each(['', ' ', '/path', 'ftp://example.org', 'user@example.org', 'example.org:99999', 'a b', '[1', ':80', '?'])(
  '%j is no pattern',
  (text) => {
    expect(urlPattern(text)).toBeUndefined()
  },
)

test('Any text is a pattern or none, and any address is compared with it in short time', () => {
  const long = new URL(`https://example.org/${'a'.repeat(5000)}`)
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[*a./%2e]+$/)), fc.webUrl(), (text, url) => {
      const pattern = urlPattern(text)
      expect([true, false, undefined]).toContain(pattern?.matches(new URL(url)))
      expect([true, false, undefined]).toContain(pattern?.matches(long))
    }),
  )
  expect(matches(`example.org/${'*a'.repeat(200)}b`, long.href)).toBe(false)
})
