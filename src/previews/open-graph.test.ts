import { describe, expect, test } from 'vitest'
import { readHtml } from '../../test/support/read-html.ts'
import { openGraph } from './open-graph.ts'
import type { Draft } from './preview.ts'

const url = new URL('https://example.org/news/today')

/** What is read from `property=content` lines. */
function read(...properties: string[]): Draft {
  const metas = properties.map((line) => {
    const [property, content] = [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]
    return `<meta property="${property}" content="${content}">`
  })
  return openGraph(readHtml(metas.join(''), url))
}

describe('OpenGraph', () => {
  test('gives the texts, the first of each', () => {
    const draft = read(
      'og:title=A &amp; B',
      'og:title=C',
      'og:description=D',
      'og:site_name=S',
      'og:type=article',
      'og:url=/a',
    )
    expect(draft).toMatchObject({
      title: 'A & B',
      description: 'D',
      siteName: 'S',
      type: 'article',
      url: 'https://example.org/a',
    })
  })

  test('leaves out what is not there, or no address', () => {
    expect(read('og:title=A', 'og:description= ', 'og:url=javascript:alert(1)')).toEqual({
      title: 'A',
      pictures: [],
      more: new Map(),
    })
  })

  test('may be given by name', () => {
    expect(openGraph(readHtml('<meta name="og:title" content="A">', url)).title).toBe('A')
  })
})

describe('pictures of OpenGraph', () => {
  test('are all there, each with what follows it', () => {
    const draft = read(
      'og:image=/a.jpg',
      'og:image:width=640',
      'og:image:height=480px',
      'og:image:type=Image/JPEG',
      'og:image:alt=A house',
      'og:image=//cdn.example/b.png',
      'og:image:width=50%',
      'og:image:height=10',
      'og:image=/c.png',
    )
    expect(draft.pictures).toEqual([
      { url: new URL('https://example.org/a.jpg'), width: 640, height: 480, contentType: 'image/jpeg', alt: 'A house' },
      { url: new URL('https://cdn.example/b.png') },
      { url: new URL('https://example.org/c.png') },
    ])
  })

  test.each([
    [
      'come from their secure address',
      ['og:image=http://a.example/a', 'og:image:secure_url=https://a.example/a'],
      ['https://a.example/a'],
    ],
    [
      'may have their long name',
      ['og:image:url=/a', 'og:image:url=/b'],
      ['https://example.org/a', 'https://example.org/b'],
    ],
    ['are one by both names', ['og:image=/a', 'og:image:url=/a'], ['https://example.org/a']],
    ['need no plain address beside the secure one', ['og:image:secure_url=/a'], ['https://example.org/a']],
    ['may stand in the page', ['og:image=data:image/png;base64,AAAA'], ['data:image/png;base64,AAAA']],
    ['are no other addresses', ['og:image=data:text/html,x', 'og:image=javascript:x', 'og:image:width=3'], []],
  ])('%s', (_, properties, addresses) => {
    expect(read(...properties).pictures?.map((picture) => picture.url.href)).toEqual(addresses)
  })
})

describe('what OpenGraph says besides', () => {
  test('is the first video and the first sound', () => {
    const draft = read(
      'og:video=javascript:x',
      'og:video=http://v.example/a',
      'og:video:secure_url=https://v.example/a',
      'og:video:type=text/html',
      'og:video:width=1280',
      'og:video:height=720',
      'og:video=https://v.example/b',
      'og:audio:url=/a.mp3',
      'og:audio:type=audio/mpeg',
    )
    expect(Object.fromEntries(draft.more ?? [])).toEqual({
      'og:video': 'https://v.example/a',
      'og:video:type': 'text/html',
      'og:video:width': 1280,
      'og:video:height': 720,
      'og:audio': 'https://example.org/a.mp3',
      'og:audio:type': 'audio/mpeg',
    })
  })

  test('is what is said of articles and people', () => {
    const draft = read(
      'article:author=Ann',
      'article:author=Bob',
      'profile:first_name=Ann',
      'fb:app_id=1',
      'product:price=2',
    )
    expect([...(draft.more ?? [])]).toEqual([
      ['article:author', 'Ann'],
      ['profile:first_name', 'Ann'],
    ])
  })

  test('is no long value, and not many', () => {
    const many = Array.from(
      { length: 80 },
      (_, at) => `article:tag_${'abcdefghij'[at % 10]}${'x'.repeat(Math.floor(at / 10))}=${at}`,
    )
    expect(read(...many).more?.size).toBe(50)
    expect(
      read(`article:author=${'x'.repeat(1001)}`, `og:video=https://v.example/${'x'.repeat(1001)}`).more?.size,
    ).toBe(0)
  })
})
