import { decodeHTML, decodeHTMLAttribute } from 'entities'
import { Tokenizer } from 'htmlparser2'

export type Attributes = ReadonlyMap<string, string>

/** What is told of a page while it comes in, in its order. Names are in lower case. */
export interface MarkupReader {
  /** The attributes that are of interest, by the element's name; of all others only their start is told. */
  readonly wanted: ReadonlyMap<string, ReadonlySet<string>>
  /** The start of an element; `closed` where it ends there and then. Entities in attributes are resolved. */
  open(name: string, attributes: Attributes, closed: boolean): void
  close(name: string): void
  /** A piece of text, also that of scripts, as it stands there: see `resolveEntities`, for whole texts. */
  text(text: string): void
}

const NONE: Attributes = new Map()
const LONGEST_NAME = 64
const LONGEST_ATTRIBUTE = 4096
/** A picture in the page itself; with more than that it is left out, as a part of it is of no use. */
const LONGEST_DATA_URL = 1024 * 1024
/** Names are shorter. In characters. */
const LEAST_KEPT = 4096
const nothing = (): void => {}

/**
 * Reads markup in one pass, piece by piece, and never keeps more than two pieces of it (or a few thousand characters). Comments, declarations and instructions are
 * passed over. No tree is built, so that neither depth nor number of elements costs memory; what follows from the nesting of
 * elements is for the reader to know.
 *
 * Source: HTML, section 13.2.5, by the tokenizer of htmlparser2 (docs/decisions/034).
 */
export class Markup {
  readonly #reader: MarkupReader
  readonly #tokenizer: Tokenizer
  readonly #xml: boolean
  /** The piece that is being read and the one before, or several small ones: what the tokenizer tells of began there, or is cut. */
  #buffer = ''
  /** Where in the page the buffer begins. */
  #begin = 0
  #lastLength = 0
  #name = ''
  #wanted: ReadonlySet<string> | undefined
  #attributes: Map<string, string> | undefined
  /** The attribute that is being read, if it is wanted. */
  #attribute: string | undefined
  #value = ''
  /** How deep in SVG or MathML, where scripts and styles are elements like others. */
  #foreign = 0

  /** @param xml whether elements may end where they begin, as in `<script/>` */
  constructor(reader: MarkupReader, { xml }: { readonly xml: boolean }) {
    this.#reader = reader
    this.#xml = xml
    // Most text of a page is never looked at: its entities are resolved where it is.
    this.#tokenizer = new Tokenizer({ recognizeSelfClosing: xml, decodeEntities: false }, this.#callbacks())
  }

  write(piece: string): void {
    const passed = Math.max(this.#buffer.length - Math.max(this.#lastLength, LEAST_KEPT), 0)
    this.#begin += passed
    this.#buffer = this.#buffer.slice(passed) + piece
    this.#lastLength = piece.length
    this.#tokenizer.write(piece)
  }

  end(): void {
    this.#tokenizer.end()
  }

  #callbacks(): ConstructorParameters<typeof Tokenizer>[1] {
    return {
      ontext: (start, end) => this.#reader.text(this.#slice(start, end)),
      ontextentity: nothing,
      onopentagname: (start, end) => this.#begins(this.#slice(start, end)),
      onopentagend: () => this.#opened(false),
      onselfclosingtag: () => this.#opened(this.#xml || this.#foreign > 0),
      onclosetag: (start, end) => this.#closed(this.#slice(start, end).toLowerCase()),
      onattribname: (start, end) => this.#attributeBegins(start, end),
      onattribdata: (start, end) => this.#more(start, end),
      onattribentity: nothing,
      onattribend: () => this.#attributeEnds(),
      oncdata: (start, end, over) => this.#cdata(this.#slice(start, end - over)),
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
    this.#wanted = this.#reader.wanted.get(this.#name)
    this.#attributes = undefined
    this.#attribute = undefined
  }

  #opened(closed: boolean): void {
    if (!closed && (this.#name === 'svg' || this.#name === 'math')) this.#foreign++
    this.#reader.open(this.#name, this.#attributes ?? NONE, closed)
  }

  #closed(name: string): void {
    if (this.#foreign > 0 && (name === 'svg' || name === 'math')) this.#foreign--
    this.#reader.close(name)
  }

  #attributeBegins(start: number, end: number): void {
    if (!this.#wanted || end - start > LONGEST_NAME) return
    const name = this.#slice(start, end).toLowerCase()
    // Of the same attribute twice the first counts.
    this.#attribute = this.#wanted.has(name) && !this.#attributes?.has(name) ? name : undefined
    this.#value = ''
  }

  #more(start: number, end: number): void {
    if (this.#attribute === undefined) return
    const most = this.#value.startsWith('data:') ? LONGEST_DATA_URL : LONGEST_ATTRIBUTE
    if (this.#value.length <= most) this.#value += this.#slice(start, end)
  }

  #attributeEnds(): void {
    if (this.#attribute === undefined) return
    this.#attributes ??= new Map()
    this.#attributes.set(this.#attribute, valueOf(this.#value))
    this.#attribute = undefined
  }

  /** In HTML a comment; elsewhere text. */
  #cdata(text: string): void {
    if (this.#xml || this.#foreign > 0) this.#reader.text(text.replaceAll('&', '&amp;'))
  }
}

/** A text as people see it: `&amp;` is `&`. */
export function resolveEntities(text: string): string {
  return text.includes('&') ? decodeHTML(text) : text
}

function valueOf(raw: string): string {
  if (raw.startsWith('data:')) return raw.length <= LONGEST_DATA_URL ? raw : ''
  const value = raw.slice(0, LONGEST_ATTRIBUTE)
  return value.includes('&') ? decodeHTMLAttribute(value) : value
}
