import { describe, expect, test } from 'vitest'
import { readHtml } from '../../test/support/read-html.ts'
import { plainHtml } from './plain-html.ts'
import type { Draft } from './preview.ts'

const url = new URL('https://example.org/news/today')
const LONG = 'This is a sentence that is long enough to say something about the page.'

function read(html: string): Draft {
  return plainHtml(readHtml(html, url))
}

describe('the title of a page without OpenGraph', () => {
  test.each([
    ['is its title', '<title>T</title><h1>H</h1>', 'T'],
    ['is its heading if it has no title', '<title> </title><h2>B</h2><h1>A</h1>', 'A'],
    ['is its second heading if there is no first', '<h1><img src=x></h1><h2>B</h2>', 'B'],
    ['is missing', '<p>x', undefined],
  ])('%s', (_, html, title) => {
    expect(read(html).title).toBe(title)
  })
})

describe('the description of a page without OpenGraph', () => {
  test.each([
    ['is its own', `<meta name=description content=D><p>${LONG}`, 'D'],
    ['is the first that says something', '<meta name=description content=""><meta name=Description content=D>', 'D'],
    ['is its text', '<body>Some text.</body>', 'Some text.'],
    [
      'is text in its order, without drawings',
      '<a>The <b>bold </b><i>and <svg>a</svg></i> rest</a> and tail',
      'The bold and rest and tail',
    ],
    ['is what stands in paragraphs', `<div>Home</div><div>Log in</div><p>${LONG}</p><div>Imprint</div>`, LONG],
    ['is the main text', `<p>${LONG} Not.</p><main><p>${LONG}</p></main><p>${LONG} Not.</p>`, LONG],
    ['is the main text by its role', `<p>${LONG} Not.</p><div role=main><p>${LONG}</p></div>`, LONG],
    ['comes without headings', `<h1>Title</h1><h2>Below</h2><p>${LONG}</p>`, LONG],
    ['comes without dates and authors', `<article><p>By Ann, 5 May</p><p>${LONG}</p></article>`, LONG],
    ['is short text if there is no longer', '<p>By Ann</p>', 'By Ann'],
    ['is no list of links', `<p><a href=a>${LONG} Not.</a></p><div>Text.</div>`, 'Text.'],
    ['knows breaks of lines and blocks', '<div>One<br>two<div>three</div>four</div>', 'One two three four'],
    ['does not end in the middle of a word', '<p>Some <b>te</b>xt</p>', 'Some text'],
    [
      'counts what Chinese says in fewer characters',
      '<div>主页</div><p>我们的网站提供最新的新闻和信息服务。</p>',
      '我们的网站提供最新的新闻和信息服务。',
    ],
    ['is missing', '<title>T</title>', undefined],
  ])('%s', (_, html, description) => {
    expect(read(html).description).toBe(description)
  })

  test.each([
    'header',
    'nav',
    'aside',
    'footer',
    'noscript',
    'script',
    'style',
    'template',
    'button',
    'select',
    'textarea',
    'iframe',
    'dialog',
  ])('is never what stands in %s', (name) => {
    expect(read(`<${name}><p>${LONG}</p></${name}>`).description).toBeUndefined()
    expect(read(`<${name}><p>${LONG}</p></${name}><p>Text.`).description).toBe('Text.')
  })

  test.each([
    ['hidden', '<div hidden>'],
    ['hidden by style', '<div style="color:red; display: none">'],
    ['hidden from readers', '<div aria-hidden="true">'],
    ['navigation by its role', '<div role="navigation">'],
    ['only heard', '<div class="sr-only">'],
  ])('is never what is %s', (_, begin) => {
    expect(read(`${begin}<div>x</div><p>${LONG}</p></div><p>Text.`).description).toBe('Text.')
  })

  test.each([
    '<form>',
    '<div class="cookie-banner">',
    '<div id=newsletter>',
    '<section class="x related-posts">',
    '<ul class="breadcrumb">',
  ])('is what stands in %s only if there is nothing else', (begin) => {
    const end = begin.replace(/<(\w+).*/, '</$1>')
    expect(read(`${begin}<p>${LONG}</p>${end}<p>Text.`).description).toBe('Text.')
    expect(read(`${begin}<p>${LONG}</p>${end}`).description).toBe(LONG)
  })

  test('is found where containers are called after what they also have', () => {
    expect(read(`<div class="has sidebar"><div>Menu</div><main><p>${LONG}</p></main></div>`).description).toBe(LONG)
    expect(read(`<div class="correlated"><p>${LONG}</p></div><p>Text`).description).toBe(LONG)
  })

  test('is found behind a menu that was never closed', () => {
    expect(read(`<nav><a href=/>Home</a><main><p>${LONG}</p></main>`).description).toBe(LONG)
  })

  test('is made of paragraphs until there are 200 characters, and not longer than 500', () => {
    const paragraph = `<p>${LONG}</p>`
    expect(read(paragraph.repeat(6)).description).toBe([LONG, LONG, LONG].join(' '))
    const long = read(`<p>${'word '.repeat(400)}</p>`).description ?? ''
    expect(long.length).toBeLessThanOrEqual(500)
    expect(long).toMatch(/ word…$/)
  })
})

describe('what else a page says', () => {
  test('is its name and its address', () => {
    expect(read('<meta name="application-name" content="App"><link rel=canonical href="/c">')).toMatchObject({
      siteName: 'App',
      url: 'https://example.org/c',
    })
  })
})
