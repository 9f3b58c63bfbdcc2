import { Buffer } from 'node:buffer'

/** How long a text may be. */
export interface TextLimits {
  /** Words stand between spaces; 0 = no limit of words. */
  readonly words: number
  /** In characters as people see them (grapheme clusters), with the ellipsis; 0 = no limit of characters. */
  readonly characters: number
}

const ELLIPSIS = '…'
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
/**
 * Texts of which each code unit is a character that people see: Latin, Greek, Cyrillic, kana, CJK, Hangul, none of them with marks
 * that combine. Asking ICU takes fifty times as long.
 */
const SIMPLE =
  /^[\x20-\u02ff\u0370-\u0482\u048a-\u0558\u2010-\u2027\u3001-\u3029\u3041-\u3096\u30a0-\u30ff\u4e00-\u9fff\uac00-\ud7a3]*$/
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROLS = /[\0-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]+/g
const UNTIDY = /[\t-\r\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]| {2}|^ | $/
/** What looks wrong before an ellipsis. */
const DANGLING = ' ,;:.-–—、，。…([{«“„'

/** A text on one line: spaces of any kind and number become one, control characters go. */
export function tidy(text: string): string {
  const clean = text.toWellFormed().replace(CONTROLS, '')
  return UNTIDY.test(clean) ? clean.replaceAll(/[\s\x85]+/g, ' ').trim() : clean
}

/**
 * A text as long as it may be, on one line, with an ellipsis where something was cut. It is cut at a space, or within a word
 * where the words before it are less than half of what there is room for: so languages without spaces are cut in the
 * right place, and a first word that is too long leaves no empty text. What people see as one character is never cut.
 */
export function shorten(text: string, { words, characters }: TextLimits): string {
  const whole = tidy(text)
  const end = words > 0 ? endOfWord(whole, words) : whole.length
  const cut = end < whole.length
  if (characters === 0 || fits(whole.slice(0, end), characters - Number(cut))) {
    return cut ? withEllipsis(whole, end) : whole
  }
  if (characters === 1) return whole.slice(0, endOfCharacter(whole, 1))
  return withEllipsis(whole, endWithin(whole, characters - 1))
}

/**
 * At most so many code units of a text, without a part of a character that people see (but for one that is longer than that).
 * It is a copy: parts of a string keep the whole of it in memory, which may be a page.
 */
export function bounded(text: string, units: number): string {
  const end = text.length <= units ? text.length : boundaryBefore(text.slice(0, units + 64), units) || units
  return Buffer.from(text.slice(0, end)).toString()
}

/** Where in a text its first `words` words end. */
function endOfWord(text: string, words: number): number {
  let end = -1
  for (let word = 0; word < words; word++) {
    end = text.indexOf(' ', end + 1)
    if (end === -1) return text.length
  }
  return end
}

function fits(text: string, characters: number): boolean {
  return text.length <= characters || endOfCharacter(text, characters) >= text.length
}

/** Where in a text its first `characters` characters end. */
function endOfCharacter(text: string, characters: number): number {
  if (characters <= 0) return 0
  // One more is looked at: it might combine with the last.
  if (SIMPLE.test(text.slice(0, characters + 1))) return Math.min(characters, text.length)
  let seen = 0
  for (const { index } of graphemes.segment(text)) {
    if (seen === characters) return index
    seen++
  }
  return text.length
}

function endWithin(text: string, characters: number): number {
  const end = endOfCharacter(text, characters)
  const space = boundaryBefore(text, text.lastIndexOf(' ', end))
  return space >= end / 2 ? space : end
}

function withEllipsis(text: string, end: number): string {
  let dangling = end
  while (dangling > 0 && DANGLING.includes(text.charAt(dangling - 1))) dangling--
  const tidyEnd = boundaryBefore(text, dangling)
  return text.slice(0, tidyEnd || boundaryBefore(text, end) || end) + ELLIPSIS
}

/** The last place not after `at` where no character is cut. */
function boundaryBefore(text: string, at: number): number {
  if (at <= 0) return 0
  if (at >= text.length) return text.length
  // After one simple character and before another there always is one.
  if (SIMPLE.test(text.slice(Math.max(at - 1, 0), at + 1))) return at
  return graphemes.segment(text).containing(at)?.index ?? at
}
