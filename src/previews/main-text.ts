import { resolveEntities } from './markup.ts'
import type { Region } from './nesting.ts'
import { bounded, tidy } from './text.ts'

/** A paragraph is read that far, and paragraphs until there is that much of them: more than descriptions take. In characters. */
const LONGEST_PARAGRAPH = 2000
const LONGEST_TEXT = 1000
/** Shorter ones are dates, authors and captions. In characters; those of Chinese and Japanese say three times as much. */
const SHORTEST_PARAGRAPH = 40
const WIDE = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]/g

/** Elements that text does not run through. */
const BLOCKS = new Set(
  (
    'address article aside blockquote body br dd details div dl dt fieldset figcaption figure footer form h1 ' +
    'h2 h3 h4 h5 h6 head header hr html li main nav ol option p pre section summary table tbody td th tr ul'
  ).split(' '),
)
/** Not text about the page: headings, captions of pictures, labels. */
const NO_TEXT = new Set(['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'figcaption', 'option', 'summary'])

/** What a block is worth as a description; a better one makes what was kept before worthless. */
const MAIN_PARAGRAPH = 3
const PARAGRAPH = 2
const TEXT = 1
/** Better than nothing. */
const REST = 0

/** Whether an element stands on lines of its own. */
export function isBlock(name: string): boolean {
  return BLOCKS.has(name)
}

/** Gathers the text of a page, block by block, and keeps the beginning of the best of it: what the page is about. */
export class MainText {
  #kept: string[] = []
  #worth = REST
  #room = LONGEST_TEXT
  #text = ''
  /** Characters of the block that stand in links. */
  #linked = 0
  #inLink = false
  #block = ''
  #region: Region = 'body'
  /** Whether the block could be kept. */
  #listening = true

  open(name: string, region: Region): void {
    if (name === 'a') this.#inLink = true
    // A line may be broken within a paragraph.
    if (name === 'br') this.text(' ')
    else if (isBlock(name)) this.#begin(name, region)
  }

  close(name: string, region: Region): void {
    if (name === 'a') this.#inLink = false
    else if (isBlock(name)) this.#begin('', region)
  }

  /** Text as it stands in the markup. */
  text(text: string): void {
    if (!this.#listening || this.#text.length > LONGEST_PARAGRAPH * 2) return
    this.#text += text
    if (this.#inLink) this.#linked += text.length
  }

  /** The paragraphs that were kept, in their order. */
  end(): readonly string[] {
    this.#begin('', 'body')
    return this.#kept
  }

  #begin(name: string, region: Region): void {
    if (this.#text !== '') this.#keep(tidy(resolveEntities(this.#text)))
    this.#text = ''
    this.#linked = 0
    this.#block = name
    this.#region = region
    this.#listening = !NO_TEXT.has(name) && this.#isWanted(this.#mostWorth())
  }

  #keep(text: string): void {
    const worth = this.#worthOf(text)
    if (text === '' || !this.#isWanted(worth)) return
    if (worth > this.#worth) {
      this.#kept = []
      this.#room = LONGEST_TEXT
    }
    this.#worth = worth
    this.#room -= text.length
    this.#kept.push(bounded(text, LONGEST_PARAGRAPH))
  }

  #isWanted(worth: number): boolean {
    return worth > this.#worth || (worth === this.#worth && this.#room > 0)
  }

  #worthOf(text: string): number {
    if (this.#linked * 2 > text.length) return REST
    return weightOf(text) < SHORTEST_PARAGRAPH ? Math.min(TEXT, this.#mostWorth()) : this.#mostWorth()
  }

  /** What the block is worth if it is long enough. */
  #mostWorth(): number {
    if (this.#region === 'aside') return REST
    if (this.#block !== 'p') return TEXT
    return this.#region === 'main' ? MAIN_PARAGRAPH : PARAGRAPH
  }
}

function weightOf(text: string): number {
  return text.length >= SHORTEST_PARAGRAPH ? text.length : text.length + 2 * (text.match(WIDE)?.length ?? 0)
}
