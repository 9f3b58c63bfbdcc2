import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mayBeJsonFeed, readFeed } from './feeds.ts'

const base = new URL('https://example.org/blog/feed.xml')
const atom = `<?xml version="1.0" encoding="utf-8"?>
<!-- by hand --><feed xmlns="http://www.w3.org/2005/Atom"><title type="html">Cats &amp;amp; &lt;b&gt;dogs&lt;/b&gt;</title>
<subtitle>All about
 them</subtitle><logo>/logo.png</logo><link href="/"/><author><name>Ann</name></author>
<entry><title>First</title><subtitle>no</subtitle></entry></feed>`
const rss = `<rss version="2.0"><channel><title><![CDATA[News & more]]></title><link>https://example.org/</link>
<description>&lt;p&gt;What &lt;i&gt;happens&lt;/i&gt;.&lt;/p&gt;&lt;script&gt;x()&lt;/script&gt;</description>
<image><url>https://i.example/logo.png</url><title>no</title></image><item><title>One</title><description>no</description></item></channel></rss>`
const rdf = `<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><channel rdf:about="x"><title>Old</title>
<description>News</description></channel><image><url>file:///etc/passwd</url></image><item><title>One</title></item></rdf:RDF>`
const json = {
  version: 'https://jsonfeed.org/version/1.1',
  title: 'J',
  description: 'D',
  icon: '//i.example/icon.png',
  items: [],
}

describe('A feed', () => {
  test('in Atom tells its title, subtitle and logo', () => {
    expect(readFeed(atom, base)).toEqual({
      contentType: 'application/atom+xml',
      draft: {
        title: 'Cats & dogs',
        description: 'All about them',
        pictures: [{ url: new URL('https://example.org/logo.png') }],
      },
    })
  })

  test('in RSS tells its title, description and image', () => {
    expect(readFeed(rss, base)).toEqual({
      contentType: 'application/rss+xml',
      draft: {
        title: 'News & more',
        description: 'What happens.',
        pictures: [{ url: new URL('https://i.example/logo.png') }],
      },
    })
  })

  test('in RSS 1.0 does too, and has no picture that is not on the web', () => {
    const draft = { title: 'Old', description: 'News' }
    expect(readFeed(rdf, base)).toEqual({ contentType: 'application/rss+xml', draft })
  })

  test('in JSON does too', () => {
    expect(readFeed(JSON.stringify(json), base)).toEqual({
      contentType: 'application/feed+json',
      draft: { title: 'J', description: 'D', pictures: [{ url: new URL('https://i.example/icon.png') }] },
    })
    expect(mayBeJsonFeed(JSON.stringify(json).slice(0, 100))).toBe(true)
    expect(mayBeJsonFeed(JSON.stringify(json).replaceAll('/', '\\/'))).toBe(true)
  })

  test('is read as far as it has come', () => {
    expect(readFeed(atom.slice(0, atom.indexOf('<logo')), base)?.draft).toEqual({
      title: 'Cats & dogs',
      description: 'All about them',
    })
  })

  test.each([
    '<html><title>x</title></html>',
    '<svg><title>x</title></svg>',
    '{"version": 1, "title": "x"}',
    '{"title": "x"}',
    '{',
    'feed',
    '',
  ])('is not %j', (text) => {
    expect(readFeed(text, base)).toBeUndefined()
    expect(mayBeJsonFeed(text)).toBe(false)
  })

  test('of any shape is read or is none', () => {
    const piece = fc.constantFrom(
      '<feed>',
      '</feed>',
      '<rss>',
      '<channel>',
      '<title>',
      '</title>',
      'x',
      '<![CDATA[',
      ']]>',
      '<!--',
      '<br/>',
    )
    fc.assert(fc.property(fc.array(piece), (pieces) => void readFeed(pieces.join(''), base)))
  })
})
