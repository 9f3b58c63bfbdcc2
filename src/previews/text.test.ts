import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bounded, shorten, tidy } from './text.ts'

const FAMILY = '👨‍👩‍👧‍👦'
const all = { words: 0, characters: 0 }

describe('texts on one line', () => {
  test.each([
    ['  two   words ', 'two words'],
    ['line\r\nbreaks\tand\ttabs', 'line breaks and tabs'],
    ['no-break\u00a0and\u3000wide\u2003spaces', 'no-break and wide spaces'],
    ['bells\u0007 and nulls\0', 'bells and nulls'],
    ['half a \ud83d character', 'half a \ufffd character'],
    ['', ''],
    [' \n\t ', ''],
  ])('%j becomes %j', (text, tidied) => {
    expect(tidy(text)).toBe(tidied)
  })
})

describe('shortening', () => {
  test.each([
    ['what is short enough stays', 'One two three.', { words: 3, characters: 14 }, 'One two three.'],
    ['0 words and 0 characters are no limit', 'word '.repeat(300), all, 'word '.repeat(300).trim()],
    ['0 characters leave the limit of words', 'one two three', { words: 2, characters: 0 }, 'one two…'],
    ['0 words leave the limit of characters', 'one two three', { words: 0, characters: 9 }, 'one two…'],
    ['words are cut whole', 'one two three', { words: 9, characters: 12 }, 'one two…'],
    ['a cut at the end of a word keeps it', 'one two three four', { words: 9, characters: 14 }, 'one two three…'],
    ['the ellipsis counts', 'abcdef ghijkl', { words: 0, characters: 6 }, 'abcde…'],
    ['a first word that is too long is cut', 'Donaudampfschifffahrt ist', { words: 5, characters: 10 }, 'Donaudamp…'],
    [
      'a long word behind short ones is cut',
      'See https://example.org/a/very/long/path',
      { words: 5, characters: 20 },
      'See https://example…',
    ],
    [
      'languages without spaces are cut anywhere',
      '我们的网站提供最新的新闻和信息',
      { words: 3, characters: 8 },
      '我们的网站提供…',
    ],
    ['commas do not stand before an ellipsis', 'one, two, three', { words: 2, characters: 0 }, 'one, two…'],
    ['dots neither', 'One. Two. Three.', { words: 2, characters: 0 }, 'One. Two…'],
    ['but nothing but dots remains', '... ... ...', { words: 1, characters: 0 }, '...…'],
    ['one character is one character', 'Hello', { words: 0, characters: 1 }, 'H'],
    ['families stay together', `${FAMILY}${FAMILY}${FAMILY}`, { words: 0, characters: 2 }, `${FAMILY}…`],
    ['and count as one', `a ${FAMILY} b`, { words: 0, characters: 5 }, `a ${FAMILY} b`],
    ['accents stay on their letters', 'e\u0301e\u0301e\u0301', { words: 0, characters: 2 }, 'e\u0301…'],
    ['also on the last letter', 'abcde\u0301', { words: 0, characters: 5 }, 'abcde\u0301'],
    ['flags are not halved', '🇩🇪🇫🇷🇮🇹', { words: 0, characters: 2 }, '🇩🇪…'],
    ['syllables of Hindi are whole', 'नमस्ते दुनिया', { words: 0, characters: 3 }, 'नम…'],
    ['spaces are collapsed before they count', 'a    b    c', { words: 0, characters: 5 }, 'a b c'],
    ['nothing stays nothing', '', { words: 5, characters: 5 }, ''],
  ])('%s', (_, text, limits, shortened) => {
    expect(shorten(text, limits)).toBe(shortened)
  })
})

const anyText = fc
  .oneof(
    fc.string({ unit: 'grapheme', maxLength: 80 }),
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc
      .array(
        fc.oneof(
          fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }),
          fc.constantFrom(FAMILY, 'é', 'e\u0301', '漢字', '\u200d', '.', ','),
        ),
      )
      .map((words) => words.join(' ')),
  )
  .filter((text) => isUsual(tidy(text)))

/** Some signs of Arabic and Brahmi take the space behind them into their character: there, words and characters cannot both be whole. */
function isUsual(text: string): boolean {
  return [...new Intl.Segmenter().segment(text)].every(({ segment }) => segment.lastIndexOf(' ') <= 0)
}

const limits = fc.record({ words: fc.nat(12), characters: fc.nat(40) })

/** The characters of a text, and where each of them ends. */
function ends(text: string): readonly number[] {
  return [...new Intl.Segmenter().segment(text)].map(({ index, segment }) => index + segment.length)
}

describe('of any text', () => {
  test('no more than the limits is left', () => {
    fc.assert(
      fc.property(anyText, limits, (text, { words, characters }) => {
        const shortened = shorten(text, { words, characters })
        if (characters > 0) expect(ends(shortened).length).toBeLessThanOrEqual(characters)
        if (words > 0) expect(shortened.split(' ').length).toBeLessThanOrEqual(words)
      }),
    )
  })

  test('something is left where there was something, and no character is cut', () => {
    fc.assert(
      fc.property(anyText, limits, (text, limit) => {
        const whole = tidy(text)
        const shortened = shorten(text, limit)
        if (shortened === whole) return
        const kept = whole.startsWith(shortened) ? shortened : shortened.slice(0, -1)
        expect(kept).not.toBe('')
        expect(whole.startsWith(kept)).toBe(true)
        expect(ends(whole)).toContain(kept.length)
      }),
    )
  })

  test('shortening twice is shortening once', () => {
    fc.assert(
      fc.property(anyText, limits, (text, limit) => {
        const once = shorten(text, limit)
        expect(shorten(once, limit)).toBe(once)
      }),
    )
  })

  test('what fits is not touched', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const whole = tidy(text)
        expect(shorten(text, all)).toBe(whole)
        expect(shorten(text, { words: 0, characters: ends(whole).length })).toBe(whole)
      }),
    )
  })

  test('bounds hold, and cut no character but one that is longer than they are', () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 40 }), (text, units) => {
        const kept = bounded(tidy(text), units)
        expect(kept.length).toBeLessThanOrEqual(units)
        const cuts = ends(tidy(text))
        if ((cuts[0] ?? 0) <= units) expect([0, ...cuts]).toContain(kept.length)
      }),
    )
  })
})
