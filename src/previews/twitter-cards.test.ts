import { expect, test } from 'vitest'
import { readHtml } from '../../test/support/read-html.ts'
import { previewPage } from './previewers.ts'
import { twitterCards } from './twitter-cards.ts'

const url = new URL('https://example.org/')
const card = `<meta name="twitter:card" content="summary"><meta name="twitter:site" content="@example">
  <meta name="twitter:title" content="T"><meta name="twitter:description" content="D">
  <meta name="twitter:image:src" content="/i.png"><meta name="twitter:image:alt" content="Alt">`

test('a card has a title, a description and a picture', () => {
  const pictures = [{ url: new URL('/i.png', url), alt: 'Alt' }]
  expect(twitterCards(readHtml(card, url))).toEqual({ title: 'T', description: 'D', pictures })
})

test('a card counts where OpenGraph says nothing', () => {
  const draft = previewPage(
    readHtml(`${card}<meta property="og:title" content="O"><meta property="og:image" content="/o.png">`, url),
  )
  expect(draft).toMatchObject({ title: 'O', description: 'D' })
  expect(draft.pictures?.map((picture) => picture.url.pathname)).toEqual(['/o.png', '/i.png'])
})

test('a page without a card has none', () => {
  expect(twitterCards(readHtml('<p>x', url))).toEqual({})
})
