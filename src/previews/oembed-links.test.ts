import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Link } from './facts.ts'
import { discoveredEndpoint, isWorthAsking } from './oembed-links.ts'

const url = new URL('https://example.org/blog/1')
const found = (link: string | readonly string[] | undefined, links: readonly Link[] = []) =>
  discoveredEndpoint({ url, headers: { link } }, links)?.href
const link = (type: string, href = 'https://example.org/o', rel = 'alternate'): Link => ({
  rel,
  type,
  url: new URL(href),
})

describe('The oEmbed answer of a page', () => {
  test('is found in its markup, JSON before XML', () => {
    const links = [
      link('text/xml+oembed', 'https://example.org/xml'),
      link('application/json+oembed', 'https://example.org/json'),
      link('application/rss+xml', 'https://example.org/feed'),
    ]
    expect(found(undefined, links)).toBe('https://example.org/json')
    expect(found(undefined, links.slice(0, 1))).toBe('https://example.org/xml')
    expect(found(undefined, links.slice(2))).toBeUndefined()
  })

  test.each([
    [
      '<https://o.example/?url=a%2Cb;c,d>; rel="alternate"; type="application/json+oembed"; title="A \\"b\\", c"',
      'https://o.example/?url=a%2Cb;c,d',
    ],
    ['</oembed?x=1>;rel=alternate;type=application/json+oembed', 'https://example.org/oembed?x=1'],
    ['<//o.example/x> ; Rel = Alternate ; TYPE = "Application/JSON+oEmbed"', 'https://o.example/x'],
    [
      '<https://a.example/feed>; rel="alternate"; type="application/rss+xml", <https://o.example/>; rel="nofollow alternate"; type="text/xml+oembed"',
      'https://o.example/',
    ],
    ['<https://o.example/>; rel="next"; type="application/json+oembed"', undefined],
    ['<https://o.example/>; type="application/json+oembed"', undefined],
    [
      '<https://o.example/>; rel="alternate"; type="application/json+oembed"; anchor="https://other.example/"',
      undefined,
    ],
    ['<javascript:x>; rel="alternate"; type="application/json+oembed"', undefined],
    ['<file:///etc/passwd>; rel="alternate"; type="application/json+oembed"', undefined],
    ['https://o.example/; rel="alternate"; type="application/json+oembed"', undefined],
    ['', undefined],
  ])('is found in the header %s', (header, expected) => {
    expect(found(header)).toBe(expected)
  })

  test('is found in one of several headers', () => {
    expect(
      found(['<https://a.example/>; rel=preload', '<https://o.example/>; rel=alternate; type=text/json+oembed']),
    ).toBe('https://o.example/')
  })

  test('headers of any shape are read in no time', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('<', '>', ';', ',', '"', '=', ' ', 'a', '\\') }),
        (text) => void found(text),
      ),
    )
    const began = performance.now()
    for (const text of [
      '<a>;a="' + '\\'.repeat(16_000),
      '<a>' + '; a'.repeat(5000),
      '<'.repeat(16_000),
      ' '.repeat(16_000),
    ])
      found(text)
    expect(performance.now() - began).toBeLessThan(5000)
  })

  test('is worth asking for where the page itself has told too little', () => {
    const all = { title: 'T', siteName: 'S', pictures: [{ url }] }
    expect(isWorthAsking(all)).toBe(false)
    expect(isWorthAsking({ ...all, pictures: [] })).toBe(true)
    expect(isWorthAsking({ title: 'T', siteName: 'S' })).toBe(true)
    expect(isWorthAsking({})).toBe(true)
  })
})
