import { QuoteType, Tokenizer } from 'htmlparser2'

const nothing = (): void => {}

export type Attributes = ReadonlyMap<string, string>

/** What is told of a page while it comes in, in its order. Names are in lower case, entities resolved. */
export interface MarkupReader {
  /** The start of an element; `closed` where it ends there and then. */
  open(name: string, attributes: Attributes, closed: boolean): void
  close(name: string): void
  /** A piece of text, also that of scripts. */
  text(text: string): void
}

const LONGEST_NAME = 64
const MOST_ATTRIBUTES = 64
const LONGEST_ATTRIBUTE = 4096
/** A picture in the page itself; with more than that it is left out, as a part of it is of no use. */
const LONGEST_DATA_URL = 1024 * 1024
/** Attributes that previews have no use for: much of a modern page is in `class`, but that says what is boilerplate. */
const UNUSED = /^(?:on|data-(?!src|lazy|original)|d$|points$|jsaction$|target$)/

/**
 * Reads markup in one pass, piece by piece, and never keeps more than two pieces of it. Comments, declarations and instructions are
 * passed over. No tree is built, so that neither depth nor number of elements costs memory; what follows from the nesting of
 * elements is for the reader to know.
 *
 * Source: HTML, section 13.2.5, by the tokenizer of htmlparser2 (docs/decisions/034).
 */
export class Markup {
  readonly #reader: MarkupReader
  readonly #tokenizer: Tokenizer
  /** The piece before, and the one that is being read: what the tokenizer tells of began in one of them, or is cut. */
  #buffer = ''
  /** Where in the page the buffer begins. */
  #begin = 0
  #lastLength = 0
  #name = ''
  #attributes = new Map<string, string>()
  #attribute = ''
  #value = ''
  /** How deep in SVG or MathML, where scripts and styles are elements like others. */
  #foreign = 0

  constructor(reader: MarkupReader, { xml }: { readonly xml: boolean }) {
    this.#reader = reader
    this.#tokenizer = new Tokenizer({ recognizeSelfClosing: xml }, this.#callbacks(xml))
  }

  write(piece: string): void {
    this.#begin += this.#buffer.length - this.#lastLength
    this.#buffer = this.#buffer.slice(this.#buffer.length - this.#lastLength) + piece
    this.#lastLength = piece.length
    this.#tokenizer.write(piece)
  }

  end(): void {
    this.#tokenizer.end()
  }

  #callbacks(xml: boolean): ConstructorParameters<typeof Tokenizer>[1] {
    return {
      ontext: (start, end) => this.#reader.text(this.#slice(start, end)),
      ontextentity: (codePoint) => this.#reader.text(String.fromCodePoint(codePoint)),
      onopentagname: (start, end) => this.#begins(this.#slice(start, end)),
      onopentagend: () => this.#opened(false),
      onselfclosingtag: () => this.#opened(xml || this.#foreign > 0),
      onclosetag: (start, end) => this.#closed(this.#slice(start, end).toLowerCase()),
      onattribname: (start, end) => this.#attributeBegins(this.#slice(start, end)),
      onattribdata: (start, end) => this.#more(this.#slice(start, end)),
      onattribentity: (codePoint) => this.#more(String.fromCodePoint(codePoint)),
      onattribend: (quote) => this.#attributeEnds(quote),
      // In HTML a comment; elsewhere text.
      oncdata: (start, end, over) => {
        if (xml || this.#foreign > 0) this.#reader.text(this.#slice(start, end - over))
      },
      oncomment: nothing,
      ondeclaration: nothing,
      onprocessinginstruction: nothing,
      onend: nothing,
      isInForeignContext: () => this.#foreign > 0,
    }
  }

  #slice(start: number, end: number): string {
    return this.#buffer.slice(Math.max(start - this.#begin, 0), Math.max(end - this.#begin, 0))
  }

  #begins(name: string): void {
    this.#name = name.slice(0, LONGEST_NAME).toLowerCase()
    this.#attributes = new Map()
  }

  #opened(closed: boolean): void {
    if (!closed && (this.#name === 'svg' || this.#name === 'math')) this.#foreign++
    this.#reader.open(this.#name, this.#attributes, closed)
  }

  #closed(name: string): void {
    if (this.#foreign > 0 && (name === 'svg' || name === 'math')) this.#foreign--
    this.#reader.close(name)
  }

  #attributeBegins(name: string): void {
    this.#attribute = name.length > LONGEST_NAME ? '' : name.toLowerCase()
    if (UNUSED.test(this.#attribute) || this.#attributes.size >= MOST_ATTRIBUTES) this.#attribute = ''
    this.#value = ''
  }

  #more(text: string): void {
    if (this.#attribute === '') return
    const most = this.#value.startsWith('data:') || this.#value === '' ? LONGEST_DATA_URL : LONGEST_ATTRIBUTE
    if (this.#value.length <= most) this.#value += text
  }

  #attributeEnds(quote: QuoteType): void {
    // Of the same attribute twice the first counts.
    if (this.#attribute === '' || this.#attributes.has(this.#attribute)) return
    this.#attributes.set(this.#attribute, quote === QuoteType.NoValue ? '' : bounded(this.#value))
  }
}

function bounded(value: string): string {
  if (!value.startsWith('data:')) return value.slice(0, LONGEST_ATTRIBUTE)
  return value.length <= LONGEST_DATA_URL ? value : ''
}
