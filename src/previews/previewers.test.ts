import { describe, expect, test } from 'vitest'
import { readHtml } from '../../test/support/read-html.ts'
import { mergeDrafts } from './drafts.ts'
import { previewPage } from './previewers.ts'

const url = new URL('https://example.org/news/today')
const picture = (name: string): { url: URL } => ({ url: new URL(name, url) })

describe('what a page says in several ways', () => {
  const everything = `<title>Plain</title><meta name=description content=Plain>
    <meta name="twitter:title" content=Card><meta name="twitter:description" content=Card><meta property="og:title" content=Open>
    <script type="application/ld+json">{"@type":"Article","headline":"Data","publisher":"Data","image":"/data.png"}</script>
    <link rel=canonical href="/plain"><img src="/plain.png">`

  test('is taken from OpenGraph, cards, JSON-LD and the page, in that order', () => {
    expect(previewPage(readHtml(everything, url))).toEqual({
      title: 'Open',
      description: 'Card',
      siteName: 'Data',
      type: 'article',
      url: 'https://example.org/plain',
      pictures: [picture('/data.png'), picture('/plain.png')],
      more: new Map(),
    })
  })

  test('is nothing where it says nothing', () => {
    expect(previewPage(readHtml('', url))).toEqual({ pictures: [], more: new Map() })
  })
})

describe('drafts', () => {
  test('are merged key by key: the first that has one counts', () => {
    const merged = mergeDrafts([
      { title: '', description: undefined, more: new Map([['og:video', 'a']]) },
      {
        title: 'B',
        description: 'B',
        more: new Map([
          ['og:video', 'b'],
          ['og:audio', 'b'],
        ]),
      },
      { title: 'C', type: 'C' },
    ])
    expect(merged).toMatchObject({ title: 'B', description: 'B', type: 'C' })
    expect(Object.fromEntries(merged.more ?? [])).toEqual({ 'og:audio': 'b', 'og:video': 'a' })
  })

  test('give their pictures in order, each once, at most five', () => {
    const names = (...of: string[]) => ({ pictures: of.map(picture) })
    expect(mergeDrafts([names('/a', '/b'), {}, names('/b', '/c', '/a')]).pictures).toEqual(
      ['/a', '/b', '/c'].map(picture),
    )
    expect(mergeDrafts([names('/1', '/2', '/3', '/4'), names('/5', '/6')]).pictures).toHaveLength(5)
  })
})
