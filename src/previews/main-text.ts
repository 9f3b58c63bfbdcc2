import type { Region } from './nesting.ts'
import { bounded, tidy } from './text.ts'

/** A paragraph is read that far, and of each kind so much in all: more than any preview shows. */
const LONGEST_PARAGRAPH = 2000
const LONGEST_TEXT = 4000
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

/** From what is best as a description to what is better than nothing. */
const KINDS = ['mainParagraphs', 'paragraphs', 'texts', 'rest'] as const
type Kind = (typeof KINDS)[number]

/** Whether an element stands on lines of its own. */
export function isBlock(name: string): boolean {
  return BLOCKS.has(name)
}

/** Gathers the text of a page, block by block, and chooses what it is about. */
export class MainText {
  readonly #blocks = new Map<Kind, string[]>(KINDS.map((kind) => [kind, []]))
  readonly #room = new Map<Kind, number>(KINDS.map((kind) => [kind, LONGEST_TEXT]))
  #text = ''
  /** Characters of the block that stand in links. */
  #linked = 0
  #inLink = false
  #block = ''
  #region: Region = 'body'

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

  text(text: string): void {
    if (this.#text.length > LONGEST_PARAGRAPH * 2) return
    this.#text += text
    if (this.#inLink) this.#linked += text.length
  }

  /** Paragraphs of the best kind that the page has, in their order. */
  end(): readonly string[] {
    this.#begin('', 'body')
    const found = KINDS.map((kind) => this.#blocks.get(kind) ?? [])
    return found.find((blocks) => blocks.length > 0) ?? []
  }

  #begin(name: string, region: Region): void {
    if (this.#text !== '' && !NO_TEXT.has(this.#block)) this.#keep(tidy(this.#text))
    this.#text = ''
    this.#linked = 0
    this.#block = name
    this.#region = region
  }

  #keep(text: string): void {
    const kind = this.#kindOf(text)
    const room = this.#room.get(kind) ?? 0
    if (text === '' || room <= 0) return
    this.#room.set(kind, room - text.length)
    this.#blocks.get(kind)?.push(bounded(text, LONGEST_PARAGRAPH))
  }

  #kindOf(text: string): Kind {
    if (this.#region === 'aside' || this.#linked * 2 > text.length) return 'rest'
    if (this.#block !== 'p' || weightOf(text) < SHORTEST_PARAGRAPH) return 'texts'
    return this.#region === 'main' ? 'mainParagraphs' : 'paragraphs'
  }
}

function weightOf(text: string): number {
  return text.length >= SHORTEST_PARAGRAPH ? text.length : text.length + 2 * (text.match(WIDE)?.length ?? 0)
}
