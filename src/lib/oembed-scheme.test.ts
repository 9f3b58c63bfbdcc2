import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { oEmbedScheme, hostsAbove, matchesPath } from './oembed-scheme.ts'

const matches = (pattern: string, address: string): boolean => {
  const taken = oEmbedScheme(pattern)
  const url = new URL(address)
  if (!taken) throw new Error(`${pattern} is no pattern`)
  const hosts = taken.below ? [...hostsAbove(url.host)] : [url.host]
  return hosts.includes(taken.host) && matchesPath(taken, url)
}

describe('A scheme of an oEmbed provider', () => {
  test.each([
    ['https://example.org/photos/*', 'https://example.org/photos/1', true],
    ['https://example.org/photos/*', 'https://example.org/photos/1/2?a=b', true],
    ['https://example.org/photos/*', 'https://example.org/photos/1#top', true],
    ['https://example.org/photos/*', 'https://example.org/photos/', false],
    ['https://example.org/photos/*', 'https://example.org/a/photos/1', false],
    ['https://example.org/photos/*', 'https://www.example.org/photos/1', false],
    ['https://example.org/photos/*', 'https://example.org:8443/photos/1', false],
    ['https://example.org:8443/photos/*', 'https://example.org:8443/photos/1', true],
    ['http://EXAMPLE.org/photos/*', 'https://example.ORG/photos/1', true],
    ['https://example.org/*/comments/*', 'https://example.org/r/comments/1', true],
    ['https://example.org/*/comments/*', 'https://example.org/comments/1', false],
    ['https://example.org/x*a*b', 'https://example.org/xaxb', false],
    ['https://example.org/*.html', 'https://example.org/a.html.html', true],
    ['https://example.org/*.html', 'https://example.org/a.html?x', false],
    ['https://example.org/*ab*ab', 'https://example.org/xab', false],
    ['https://example.org/watch?v=*', 'https://example.org/watch?v=1', true],
    ['https://example.org/watch?v=*', 'https://example.org/watchXv=1', false],
    ['https://example.org/#/k/*', 'https://example.org/#/k/1', true],
    ['https://example.org/#/k/*', 'https://example.org/', false],
    ['https://example.org?id=*', 'https://example.org/?id=1', true],
    ['https://example.org', 'https://example.org/', true],
    ['https://*.example.org/watch*', 'https://m.example.org/watch?v=1', true],
    ['https://*.example.org/watch*', 'https://a.b.example.org/watch?v=1', true],
    ['https://*.example.org/watch*', 'https://example.org/watch?v=1', true],
    ['https://*.example.org/watch*', 'https://badexample.org/watch?v=1', false],
    ['https://*.example.org/watch*', 'https://example.org.evil.net/watch?v=1', false],
    ['https://*.example.org/watch*', 'https://evil.net/example.org/watch?v=1', false],
    ['https://*.example.org/watch*', 'https://example.org@evil.net/watch?v=1', false],
    ['https://*.*.example.org/*', 'https://a.b.example.org/1', true],
  ])('%s and %s: %s', (pattern, address, expected) => {
    expect(matches(pattern, address)).toBe(expected)
  })

  test.each([
    'spotify:*',
    'ftp://example.org/*',
    'https://*/x',
    'https://*.com/x',
    'https://example.*/x',
    'https://a.*.example.org/x',
    'https://user@example.org/x',
    'example.org/*',
    '',
  ])('%s is none', (pattern) => {
    expect(oEmbedScheme(pattern)).toBeUndefined()
  })

  const pathText = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', '?', '=', '(', '[', '+', '\\') })

  test('matches whatever its stars are filled with', () => {
    const parts = fc.array(pathText, { minLength: 1, maxLength: 5 })
    const filling = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.'), minLength: 1 })
    fc.assert(
      fc.property(parts, fc.array(filling, { minLength: 5, maxLength: 5 }), (texts, fillings) => {
        const path = `/${texts.map((text, index) => text + (index < texts.length - 1 ? fillings[index] : '')).join('')}`
        const url = new URL(`https://example.org${path}`)
        // Addresses without `..`, backslashes and the like: these are gone when an address has been read.
        fc.pre(`${url.pathname}${url.search}` === path)
        expect(matches(`https://example.org/${texts.join('*')}`, url.href)).toBe(true)
      }),
    )
  })

  test('agrees with the regular expression that says the same', () => {
    const fillings = fc.array(fc.constantFrom('', '', 'a', 'b', 'ab/'), { minLength: 4, maxLength: 4 })
    fc.assert(
      fc.property(fc.array(pathText, { minLength: 1, maxLength: 4 }), fillings, (parts, filling) => {
        const url = new URL(`https://example.org/${parts.map((part, index) => part + filling[index]).join('')}`)
        const escaped = `/${parts.join('*')}`.split('*').map((part) => part.replaceAll(/[.?=([+\\]/g, '\\$&'))
        const wanted = new RegExp(`^${escaped.join('.+')}$`, 's').test(`${url.pathname}${url.search}`)
        expect(matches(`https://example.org/${parts.join('*')}`, url.href)).toBe(wanted)
      }),
      { numRuns: 2000 },
    )
  })

  test('of many stars is compared in no time with an address that almost matches', () => {
    const pattern = oEmbedScheme(`https://example.org/${'*a'.repeat(1000)}b`)
    const url = new URL(`https://example.org/${'a'.repeat(16_000)}`)
    const began = performance.now()
    expect(pattern && matchesPath(pattern, url)).toBe(false)
    expect(performance.now() - began).toBeLessThan(5000)
  })

  test('an IP address has no host above it', () => {
    expect([...hostsAbove('10.0.0.1:80')]).toEqual(['10.0.0.1:80'])
    expect([...hostsAbove('[fe80::1.2.3.4]')]).toEqual(['[fe80::1.2.3.4]'])
    expect([...hostsAbove('a.example.org:81')]).toEqual(['a.example.org:81', 'example.org:81', 'org:81'])
  })
})
