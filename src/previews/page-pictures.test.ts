import { describe, expect, test } from 'vitest'
import { readHtml } from '../../test/support/read-html.ts'
import { plainHtml } from './plain-html.ts'

const url = new URL('https://example.org/news/')
const INLINE = `data:image/png;base64,${'A'.repeat(2000)}`
const DOT = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=='

/** Addresses of the pictures for a page, the best first. */
function pictures(html: string): string[] {
  return (plainHtml(readHtml(html, url)).pictures ?? []).map((picture) =>
    picture.url.href.replace('https://example.org/news/', ''),
  )
}

describe('the picture of a page', () => {
  test.each([
    ['is not the smallest', '<img src=s width=80 height=80><img src=l width=640 height=480>', 'l'],
    ['is the first of equals', '<img src=a width=300 height=200><img src=b width=300 height=200>', 'a'],
    ['is no strip', '<img src=strip width=900 height=90><img src=a width=300 height=200>', 'a'],
    ['is no icon', '<img src=i width=32 height=32><img src=a width=100 height=100>', 'a'],
    ['is one of unknown size before an icon', '<img src=i width=48 height=48><img src=a>', 'a'],
    ['is a large one before one of unknown size', '<img src=a><img src=l width=800 height=600>', 'l'],
    ['is in the main text', '<img src=a width=500 height=400><main><img src=m width=400 height=300></main>', 'm'],
    [
      'is not in the page head',
      '<header><img src=h width=600 height=300></header><img src=a width=300 height=200>',
      'a',
    ],
    [
      'is not among what is related',
      '<div class=related><img src=h width=600 height=300></div><img src=a width=300 height=200>',
      'a',
    ],
    ['is no logo', '<img src=/img/logo.png width=300 height=300><img src=a width=200 height=200>', 'a'],
    ['is no avatar', '<img src=x class="user avatar" width=300 height=300><img src=a width=200 height=200>', 'a'],
    ['is a drawing only for want of others', '<img src=d.svg><img src=a>', 'a'],
    ['is what comes lazily', `<img src="${DOT}" data-src=a.jpg>`, 'a.jpg'],
    ['is what comes lazily, by another name', '<img src=blank.gif data-original=a.jpg>', 'a.jpg'],
    ['is what comes lazily, by a third', '<img data-lazy-src=a.jpg loading=lazy>', 'a.jpg'],
    [
      'may be in the part for browsers without scripts',
      '<img class=lazy><noscript><img src=a.jpg></noscript>',
      'a.jpg',
    ],
    ['is the poster of a video', '<video poster=p.jpg width=640 height=360><source src=v.mp4></video>', 'p.jpg'],
    ['stands in the page', `<img src="${INLINE}">`, INLINE],
    ['stands in the page only for want of others', `<img src="${INLINE}"><img src=a>`, 'a'],
    ['is what the page says', '<img src=a width=900 height=600><meta itemprop=image content=m>', 'm'],
    ['is what the page links', '<img src=a width=900 height=600><link rel=image_src href=l>', 'l'],
  ])('%s', (_, html, address) => {
    expect(pictures(html)[0]).toBe(address)
  })

  test.each([
    ['dots that count visits', '<img src=a width=1 height=1>'],
    ['one dot high', '<img src=a height=1>'],
    ['of no size', '<img src=a width=0 height=0>'],
    ['hidden', '<img src=a style="display:none">'],
    ['made small by style', '<img src=a style="width:1px;height:1px">'],
    ['known to count visits', '<noscript><img src="https://www.example.com/tr?id=1&noscript=1"></noscript>'],
    ['a dot that stands in the page', `<img src="${DOT}">`],
    ['without an address', '<img src=""><img alt=x>'],
    ['no address at all', '<img src="javascript:x"><img src="data:text/html,x">'],
    ['in comments', '<!-- <img src=a> -->'],
  ])('is none that is %s', (_, html) => {
    expect(pictures(html)).toEqual([])
  })

  test.each([
    ['the smallest that is wide enough', 'a 320w, b 1200w, c 2400w', 'b'],
    ['the widest of small ones', 'a 320w, b 640w', 'b'],
    ['the sharper one', 'a 1x, b 2x', 'b'],
    ['one that is not too sharp', 'a, b 2x, c 4x', 'b'],
    ['the only one', 'a', 'a'],
    [
      'one with commas in its address',
      '/t/w_1,h_2/a.jpg 300w, /t/w_3,h_4/b.jpg 600w',
      'https://example.org/t/w_3,h_4/b.jpg',
    ],
    ['one of a list without spaces', 'a 1x,b 2x', 'b'],
    ['one of a list with lines', '\n a 100w,\n b 200w,\n', 'b'],
  ])('is of a set %s', (_, srcset, address) => {
    expect(pictures(`<img src=fallback srcset="${srcset}">`)[0]).toBe(address)
    expect(pictures(`<img data-srcset="${srcset}">`)[0]).toBe(address)
  })

  test('is of a picture element what clients can show', () => {
    const html = `<picture><source srcset="a.avif" type="image/avif"><source srcset="b.webp 400w, c.webp 1000w" type="image/webp">
      <source srcset="d.jpg"><img src="e.jpg"></picture><img src=f width=100 height=100>`
    expect(pictures(html)).toEqual(['c.webp', 'f'])
  })

  test('comes with its size and what it shows', () => {
    const [picture] = plainHtml(readHtml('<img src=a width=640px height=480 alt=" A  house ">', url)).pictures ?? []
    expect(picture).toEqual({ url: new URL('a', url), width: 640, height: 480, alt: 'A house' })
  })

  test('is an icon for want of any: the largest', () => {
    const icons = `<link rel=icon href=s sizes=32x32><link rel=apple-touch-icon href=t><link rel=icon href=v type="image/svg+xml">
      <link rel=icon href=m sizes=96x96>`
    expect(pictures(icons)).toEqual(['t'])
    expect(pictures(`${icons}<link rel=icon href=l sizes=512x512>`)).toEqual(['l'])
    expect(pictures(`${icons}<img src=a>`)).toEqual(['a', 't'])
  })

  test('is looked for among many, and few are kept', () => {
    expect(pictures('<img src=a width=100 height=100>'.repeat(600) + '<img src=b width=900 height=900>')).not.toContain(
      'b',
    )
    const many = Array.from({ length: 60 }, (_, at) => `<img src=p${at} width=${100 + at} height=${100 + at}>`)
    expect(pictures(many.join(''))).toHaveLength(5)
    expect(pictures(many.join(''))[0]).toBe('p59')
  })
})
