import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readHtml } from '../../test/support/read-html.ts'
import { CHARSET_BYTES } from './charset.ts'
import type { Facts } from './facts.ts'
import { readPage, readText } from './page.ts'

const url = new URL('https://example.org/news/today')
const read = (html: string): Facts => readHtml(html, url)

/** A page as it comes from a site, in pieces. */
function page(
  html: string,
  { pieceSize = 1000, contentType = 'text/html', charset = 'utf-8', begin = '' } = {},
): Promise<Facts> {
  const bytes = Buffer.from(html)
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceSize) }, (_, at) => {
    return bytes.subarray(at * pieceSize, (at + 1) * pieceSize)
  })
  return readPage({ url, contentType, charset, body: Readable.from([Buffer.from(begin), ...pieces]) })
}

describe('titles', () => {
  test.each([
    ['are read with their entities', '<title>Caf&eacute; &amp; Bar &#x1F600; &#39;s</title>', "Café & Bar 😀 's"],
    ['are on one line', '<title>\n  A\n  B </title>', 'A B'],
    ['are the first that says something', '<title></title><title> </title><title>A</title><title>B</title>', 'A'],
    ['may look like markup', '<title>1 < 2 <b>bold</b></title>', '1 < 2 <b>bold</b>'],
    ['are not those of drawings', '<svg><title>Icon</title></svg><title>Page</title>', 'Page'],
    ['are not those in comments', '<!-- <title>Old</title> --><title>New</title>', 'New'],
    ['are not those in scripts', '<script>"<title>Not</title>"</script><title>Page</title>', 'Page'],
    ['are not those in templates', '<template><title>Not</title></template><title>Page</title>', 'Page'],
    ['need no head', '<p>x<TITLE>Page</TITLE>', 'Page'],
  ])('%s', (_, html, title) => {
    expect(read(html).title).toBe(title)
  })

  test('are missing where there are none', () => {
    expect(read('<p>x').title).toBeUndefined()
    expect(read('<title>cut off').title).toBeUndefined()
  })
})

describe('headings', () => {
  test('are the first of each level, the highest level first', () => {
    expect(read('<h2>B</h2><h1></h1><h1>A <b>bold</b></h1><h1>C</h1><h3>D</h3><h4>E</h4>').headings).toEqual([
      'A bold',
      'B',
      'D',
    ])
  })

  test('are not those of navigation, but of the page head', () => {
    expect(read('<nav><h2>Menu</h2></nav><header><h1>A</h1></header>').headings).toEqual(['A'])
  })

  test('come without the text of drawings in them', () => {
    expect(read('<h1>A <svg><text>x</text></svg>B</h1>').headings).toEqual(['A B'])
  })
})

describe('meta elements', () => {
  test.each([
    ['by property', '<meta property="og:title" content="A">', [{ name: 'og:title', content: 'A' }]],
    ['by name', '<meta name="Description" content="A">', [{ name: 'description', content: 'A' }]],
    ['by itemprop', '<meta itemprop="image" content="A">', [{ name: 'image', content: 'A' }]],
    [
      'by both',
      '<meta name="description" property="og:description" content="A">',
      [
        { name: 'og:description', content: 'A' },
        { name: 'description', content: 'A' },
      ],
    ],
    ['with entities', '<meta name=a content="&quot;A&quot; &lt;B&gt; &uuml;">', [{ name: 'a', content: '"A" <B> ü' }]],
    ['in single quotes or none', "<META NAME=a CONTENT='it is'>", [{ name: 'a', content: 'it is' }]],
    ['but not empty ones', '<meta name="description" content=" "><meta name="a">', []],
    ['nor those in comments', '<!-- <meta name="a" content="A"> -->', []],
    ['nor those in templates', '<template><meta name="a" content="A"></template>', []],
    ['nor half of one', '<meta name="a" content="A', []],
  ])('are read %s', (_, html, metas) => {
    expect(read(html).metas).toEqual(metas)
  })
})

function linked(html: string): string | undefined {
  return read(html).links[0]?.url.href
}

describe('addresses', () => {
  test.each([
    ['are relative to the page', '<link rel=icon href="a.png">', 'https://example.org/news/a.png'],
    ['are relative to the site', '<link rel=icon href="/a.png">', 'https://example.org/a.png'],
    ['are relative to the protocol', '<link rel=icon href="//cdn.example/a.png">', 'https://cdn.example/a.png'],
    ['are relative to base', '<base href="/b/"><link rel=icon href="a.png">', 'https://example.org/b/a.png'],
    [
      'are relative to a later base',
      '<link rel=icon href="a.png"><base href="//cdn.example/">',
      'https://cdn.example/a.png',
    ],
    [
      'are relative to the first base',
      '<base href="/b/"><base href="/c/"><link rel=icon href="a">',
      'https://example.org/b/a',
    ],
    [
      'ignore a base that is no page',
      '<base href="javascript:alert(1)"><link rel=icon href="a">',
      'https://example.org/news/a',
    ],
    ['ignore a base of data', '<base href="data:image/png,x"><link rel=icon href="/a">', 'https://example.org/a'],
    [
      'have their entities resolved',
      '<link rel=icon href="/a?b=1&amp;c=2&copy=3">',
      'https://example.org/a?b=1&c=2&copy=3',
    ],
    ['have their spaces removed', '<link rel=icon href=" /a\n">', 'https://example.org/a'],
  ])('%s', (_, html, address) => {
    expect(linked(html)).toBe(address)
  })

  test.each(['javascript:alert(1)', 'file:///etc/passwd', 'ftp://a/b', 'http://', 'data:text/html,x', ''])(
    'are never %s',
    (href) => {
      expect(linked(`<link rel=icon href="${href}">`)).toBeUndefined()
    },
  )

  test('of links come with what is known of them', () => {
    const html = `<link rel="Shortcut ICON" href="/a" sizes="32x16" type="Image/PNG"><link rel=stylesheet href="/b">
      <link rel=alternate type="application/json+oembed" href="/c"><link rel=alternate hreflang=de href="/d">`
    expect(read(html).links).toEqual([
      { rel: 'icon', url: new URL('/a', url), type: 'image/png', width: 32, height: 16 },
      { rel: 'alternate', url: new URL('/c', url), type: 'application/json+oembed' },
    ])
  })
})

describe('pages', () => {
  test('say their language', () => {
    expect(read('<html lang="pt-BR"><p>x').language).toBe('pt-BR')
    expect(read('<p>x').language).toBeUndefined()
  })

  test('of nothing have no facts', async () => {
    for (const html of ['', ' ', '<', '<!--', '<?xml version="1.0"?>', '</html>', '<html><body></body></html>']) {
      const { url: _, base: __, ...facts } = await page(html)
      expect(facts, html).toEqual({
        headings: [],
        metas: [],
        links: [],
        paragraphs: html === '<' ? ['<'] : [],
        pictures: [],
        jsonLd: [],
      })
    }
  })

  test('may be XHTML, where elements end where they begin', async () => {
    const html = `<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x">
      <html xmlns="http://www.w3.org/1999/xhtml" lang="de"><head><title>A&nbsp;B</title><script src="x.js"/>
      <meta name="description" content="D"/></head><body><p><![CDATA[1 < 2 & so]]> on</p></body></html>`
    const facts = await page(html, { contentType: 'application/xhtml+xml' })
    expect(facts).toMatchObject({ title: 'A B', language: 'de', paragraphs: ['1 < 2 & so on'] })
    expect(facts.metas).toEqual([{ name: 'description', content: 'D' }])
  })

  test('of HTML do not end elements so, as in browsers', async () => {
    expect(await page('<script src="x.js"/><title>A</title>')).not.toHaveProperty('title')
  })

  test('may be feeds', async () => {
    const atom = `<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Blog &amp; more</title>
      <subtitle><![CDATA[About <things>]]></subtitle><entry><title>First</title><summary>Long ago</summary></entry></feed>`
    const facts = await page(atom, { contentType: 'application/atom+xml' })
    expect(facts).toMatchObject({
      title: 'Blog & more',
      metas: [{ name: 'description', content: 'About <things>' }],
      paragraphs: [],
    })
    const rss =
      '<rss><channel><title><![CDATA[News]]></title><description>Daily</description><item><title>x</title></item></channel></rss>'
    const daily = await page(rss, { contentType: 'text/xml' })
    expect(daily).toMatchObject({ title: 'News', metas: [{ name: 'description', content: 'Daily' }] })
  })

  test('that are cut have what was before the cut', async () => {
    const facts = await page(
      '<title>A</title><meta name="a" content="b"><p>Text that is long enough to be a paragraph, but c',
    )
    expect(facts).toMatchObject({ title: 'A', paragraphs: ['Text that is long enough to be a paragraph, but c'] })
  })

  test('give the error of their source', async () => {
    const body = Readable.from(
      (async function* () {
        yield Buffer.from('<title>A</title>')
        throw new Error('connection lost')
      })(),
    )
    await expect(readPage({ url, contentType: 'text/html', body })).rejects.toThrow('connection lost')
  })
})

function found(script: string, type = 'application/ld+json'): readonly unknown[] {
  return read(`<script type="${type}">${script}</script>`).jsonLd
}

describe('JSON-LD', () => {
  test('is parsed', () => {
    expect(found('{"a": "<b> & </b>"}')).toEqual([{ a: '<b> & </b>' }])
    expect(found('[1]', 'Application/LD+JSON')).toEqual([[1]])
  })

  test('may hide from old browsers', () => {
    expect(found('<!-- {"a": 1} -->')).toEqual([{ a: 1 }])
    expect(found('//<![CDATA[\n{"a": 1}\n//]]>')).toEqual([{ a: 1 }])
  })

  test('is passed over where it is broken, cut or too long', () => {
    expect(found('{"a": 1,}')).toEqual([])
    expect(read('<script type="application/ld+json">{"a": 1').jsonLd).toEqual([])
    expect(found(`{"a": "${'x'.repeat(200_000)}"}`)).toEqual([])
  })

  test('is no other script', () => {
    expect(found('{"a": 1}', 'application/json')).toEqual([])
  })
})

describe('pieces of HTML as text', () => {
  test.each([
    ['plain text', 'plain text'],
    ['a &amp; b &lt;c&gt;', 'a & b <c>'],
    ['<p>one</p><p>two<br>three</p>', 'one two three'],
    ['in<b>li</b>ne', 'inline'],
    ['<blockquote>quote</blockquote>&mdash; me<script>alert(1)</script>', 'quote — me'],
    ['1 < 2', '1 < 2'],
    ['', ''],
  ])('%j is %j', (html, text) => {
    expect(readText(html)).toBe(text)
  })
})

/** Markup of all kinds, much of it broken. */
const fragment = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '<p>',
        '</p>',
        '<div class="x">',
        '</div>',
        '<title>',
        '</title>',
        '<h1>',
        '</h1>',
        '<main>',
        '<nav>',
        '</nav>',
        '<a href=x>',
        '<!--',
        '-->',
        '<![CDATA[',
        ']]>',
        '<script>',
        '</script>',
        '<script type="application/ld+json">',
        '<svg>',
        '</svg>',
        '<template>',
        '<meta property="og:title" content="',
        '<meta name=description content=x>',
        '"',
        "'",
        '>',
        '<',
        '&',
        '&amp;',
        '&#x',
        '&#128512;',
        '/>',
        '<img src=a.png width=100 height=90>',
        '<img srcset="',
        '<base href="/b/">',
        '<link rel=icon href=i>',
        '<?xml',
        '<!DOCTYPE',
        '<rss>',
      ),
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.string({ unit: 'binary', maxLength: 5 }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''))

describe('whatever a page is made of', () => {
  // What is searched for a charset is put together first.
  const begin = ' '.repeat(CHARSET_BYTES)

  test('its facts do not depend on where its pieces end', async () => {
    await fc.assert(
      fc.asyncProperty(fragment, fc.integer({ min: 1, max: 20 }), async (html, pieceSize) => {
        const whole = await page(html.toWellFormed(), { begin })
        expect(await page(html.toWellFormed(), { begin, pieceSize })).toEqual(whole)
      }),
      { numRuns: 50 },
    )
  })

  test('its texts are on one line, and its addresses can be fetched', () => {
    fc.assert(
      fc.property(fragment, (html) => {
        const { title, headings, metas, paragraphs, links, pictures } = read(html)
        for (const text of [title ?? 'none', ...headings, ...paragraphs, ...metas.map(({ content }) => content)]) {
          expect(text).toMatch(/^\S(?:.*\S)?$/u)
          expect(text.isWellFormed()).toBe(true)
        }
        for (const { url } of [...links, ...pictures]) expect(url.protocol).toMatch(/^(?:https?|data):$/)
      }),
    )
  })
})

describe('long pages', () => {
  const MIB = 1024 * 1024

  /** 10 MiB of one thing, none of it in memory before it is asked for. */
  async function long(piece: string, begin = ''): Promise<Facts> {
    const block = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)))
    const body = Readable.from(
      (function* () {
        yield Buffer.from(begin)
        for (let sent = 0; sent < 10 * MIB; sent += block.length) yield block
      })(),
    )
    return readPage({ url, contentType: 'text/html', charset: 'utf-8', body })
  }

  const filler = 'x'.repeat(500)
  test.each([
    ['elements within elements', '<b>'],
    ['headings', `<h1>${filler}</h1>`],
    ['meta elements', `<meta name="og:${filler}" content="${filler}">`],
    ['links', `<link rel="icon" href="/${filler}">`],
    ['pictures', `<img src="/${filler}" alt="${filler}" width=300 height=200>`],
    ['paragraphs', `<p>${filler}</p>`],
    ['JSON-LD', `<script type="application/ld+json">"${filler}"</script>`],
    ['attributes', `a${filler}=b `, '<p '],
    ['one attribute', filler, '<meta name="a" content="'],
    ['one title', `${filler} `, '<title>'],
    ['one comment', filler, '<!--'],
    ['one script', `${filler} `, '<script type="application/ld+json">'],
    ['text', `${filler} `],
    ['beginnings', '<'],
    ['entities', '&amp'],
  ])('of %s have bounded facts', async (_, piece, begin = '') => {
    const { url: _url, base: _base, ...facts } = await long(piece, begin)
    expect(JSON.stringify(facts).length).toBeLessThan(400 * 1024)
  })

  test('let others have their turn', async () => {
    let turns = 0
    let reading = true
    const count = (): void => {
      turns++
      if (reading) setImmediate(count)
    }
    setImmediate(count)
    await long('<p>text</p>')
    reading = false
    expect(turns).toBeGreaterThan(100)
  })
})
