import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readHtml } from '../../test/support/read-html.ts'
import { jsonLd } from './json-ld.ts'
import type { Draft } from './preview.ts'

const url = new URL('https://example.org/news/today')

function read(...values: unknown[]): Draft {
  const scripts = values.map((value) => `<script type="application/ld+json">${JSON.stringify(value)}</script>`)
  return jsonLd(readHtml(scripts.join(''), url))
}

function pictures(image: unknown): unknown {
  return read({ '@type': 'Article', image }).pictures?.map(({ url, ...rest }) => [url.href, rest])
}

describe('JSON-LD', () => {
  test('tells of an article', () => {
    const draft = read({
      '@context': 'https://schema.org',
      '@type': 'NewsArticle',
      headline: 'It&#39;s here',
      name: 'Not this',
      description: '<p>One</p><p>two</p>',
      image: 'a.jpg',
      author: { '@type': 'Person', name: 'Ann' },
      publisher: { '@type': 'Organization', name: 'The Paper' },
    })
    const pictures = [{ url: new URL('a.jpg', url) }]
    expect(draft).toEqual({
      title: "It's here",
      description: 'One two',
      siteName: 'The Paper',
      type: 'article',
      pictures,
    })
  })

  test('tells of a video', () => {
    const draft = read({
      '@type': ['VideoObject'],
      name: 'V',
      description: 'D',
      thumbnailUrl: ['/1.jpg', '/2.jpg'],
      author: 'Ann',
    })
    expect(draft).toMatchObject({ title: 'V', description: 'D', siteName: 'Ann', type: 'video.other' })
    expect(draft.pictures?.map((picture) => picture.url.pathname)).toEqual(['/1.jpg', '/2.jpg'])
  })

  test('may be a graph, whose nodes refer to each other', () => {
    const draft = read({
      '@graph': [
        { '@type': 'WebSite', '@id': '#site', name: 'Site' },
        { '@type': 'BreadcrumbList', name: 'Crumbs' },
        { '@type': 'WebPage', name: 'Page' },
        { '@type': 'ImageObject', '@id': '#image', url: '/i.jpg', width: 10, height: 20 },
        {
          '@type': 'http://schema.org/BlogPosting',
          headline: 'Post',
          image: { '@id': '#image' },
          publisher: { '@id': '#org' },
        },
        { '@type': 'Organization', '@id': '#org', name: 'Org' },
      ],
    })
    const pictures = [{ url: new URL('/i.jpg', url), width: 10, height: 20 }]
    expect(draft).toEqual({ title: 'Post', siteName: 'Org', type: 'article', pictures })
  })

  test('may be several scripts, or a list', () => {
    expect(
      read({ '@type': 'WebSite', name: 'Site' }, [{ '@type': 'Person' }, { '@type': 'Product', name: 'P' }]),
    ).toMatchObject({
      title: 'P',
      siteName: 'Site',
      type: 'product',
    })
  })

  test('that tells only of the site gives no title', () => {
    expect(read({ '@type': 'Organization', name: 'Org' }, { '@type': 'WebSite', name: 'Site' })).toEqual({
      siteName: 'Site',
      pictures: [],
    })
  })
})

describe('pictures of JSON-LD', () => {
  test.each([
    ['an address', '/a', [['https://example.org/a', {}]]],
    ['an object with a url', { url: '/a' }, [['https://example.org/a', {}]]],
    ['an object with its content', { url: '/page', contentUrl: '/a' }, [['https://example.org/a', {}]]],
    [
      'sizes as text',
      { url: '/a', width: '640px', height: '480' },
      [['https://example.org/a', { width: 640, height: 480 }]],
    ],
    [
      'sizes as objects',
      { url: '/a', width: { value: 2 }, height: { value: 1 } },
      [['https://example.org/a', { width: 2, height: 1 }]],
    ],
    [
      'a list of both',
      ['/a', { url: '/b' }],
      [
        ['https://example.org/a', {}],
        ['https://example.org/b', {}],
      ],
    ],
    ['a list of nothing', [null, 5, { '@id': '#gone' }, 'javascript:x', {}], []],
  ])('may be given as %s', (_, image, expected) => {
    expect(pictures(image)).toEqual(expected)
  })
})

describe('any JSON', () => {
  test('is understood or passed over', () => {
    const keys = '@type @graph @id name headline image url publisher author description width Article'.split(' ')
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom('Article', 'WebSite', '#a', '/x', ''),
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 5 }),
      ),
    }))
    fc.assert(
      fc.property(value, (json) => {
        const { title = '', description = '', siteName = '' } = read(json)
        for (const text of [title, description, siteName]) expect(typeof text).toBe('string')
      }),
    )
  })
})
