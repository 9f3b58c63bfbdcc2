import { absolute, pageAddress, pixels } from './addresses.ts'
import type { Facts, Link, Meta } from './facts.ts'
import { MainText } from './main-text.ts'
import { type Attributes, type MarkupReader, resolveEntities } from './markup.ts'
import { Nesting, nestingAttributes } from './nesting.ts'
import { PagePictures, pictureAttributes } from './page-pictures.ts'
import { bounded, tidy } from './text.ts'

const MOST_METAS = 300
const MOST_LINKS = 50
const LONGEST_NAME = 100
const LONGEST_TEXT = 4000
const LONGEST_HEADING = 1000
const MOST_JSON_LD = 10
/** Characters of JSON-LD, of one script and of all. */
const LONGEST_JSON_LD = 128 * 1024
const MOST_JSON_LD_CHARACTERS = 256 * 1024
/** Of pictures that stand in the page's `meta` elements. */
const MOST_DATA_CHARACTERS = 1024 * 1024

/** Links that previews have a use for. `alternate` counts with a type: most others name other languages. */
const RELATIONS = new Set('canonical image_src icon apple-touch-icon apple-touch-icon-precomposed alternate'.split(' '))
const HEADINGS = ['h1', 'h2', 'h3'] as const
/** Elements whose text is gathered by itself, in pages and in feeds. */
const GATHERED = new Set<string>(['title', ...HEADINGS])
const GATHERED_IN_FEEDS = new Set(['title', 'description', 'subtitle'])
const FEEDS = new Set(['rss', 'feed', 'rdf:rdf'])

const WANTED: MarkupReader['wanted'] = new Map<string, ReadonlySet<string>>([
  ...nestingAttributes,
  ...pictureAttributes,
  ['html', new Set(['lang'])],
  ['base', new Set(['href'])],
  ['meta', new Set(['property', 'name', 'itemprop', 'content'])],
  ['link', new Set(['rel', 'href', 'type', 'sizes'])],
  ['script', new Set(['type'])],
])

interface NamedAddress extends Omit<Link, 'url'> {
  readonly address: string
}

/** Gathers the facts of a page from its markup, in bounds. */
export class PageReader implements MarkupReader {
  readonly wanted = WANTED
  readonly #url: URL
  readonly #nesting = new Nesting()
  readonly #text = new MainText()
  readonly #pictures = new PagePictures()
  readonly #metas: Meta[] = []
  readonly #links: NamedAddress[] = []
  readonly #jsonLd: unknown[] = []
  /** The first text of each element of which one is enough. */
  readonly #firsts = new Map<string, string>()
  #base: URL
  #language: string | undefined
  #gathered: { readonly name: string; text: string } | undefined
  /** The script of JSON-LD that is being read. */
  #json: string | undefined
  #jsonRoom = MOST_JSON_LD_CHARACTERS
  #dataRoom = MOST_DATA_CHARACTERS
  #isFeed = false
  #hasBase = false

  constructor(url: URL) {
    this.#url = url
    this.#base = url
  }

  open(name: string, attributes: Attributes, closed: boolean): void {
    if (FEEDS.has(name)) this.#isFeed = true
    this.#openHead(name, attributes)
    if (!closed) this.#nesting.open(name, attributes)
    const { region, outOf } = this.#nesting
    this.#pictures.open(name, attributes, region, outOf)
    this.#text.open(name, region)
    if (!closed && this.#isGathered(name)) this.#gathered = { name, text: '' }
  }

  close(name: string): void {
    if (this.#gathered?.name === name) this.#endGathered(name, this.#gathered.text)
    if (name === 'script') this.#endScript()
    this.#nesting.close(name)
    this.#pictures.close(name)
    this.#text.close(name, this.#nesting.region)
  }

  text(text: string): void {
    if (this.#json !== undefined && this.#json.length <= LONGEST_JSON_LD) this.#json += text
    if (this.#gathered) {
      if (this.#gathered.text.length <= LONGEST_HEADING && !this.#isDrawing())
        this.#gathered.text += text.slice(0, 2 * LONGEST_HEADING)
    } else if (this.#nesting.region !== 'out' && !this.#isFeed) this.#text.text(text)
  }

  /** What was found; to be called at the end. */
  end(): Facts {
    const headings = HEADINGS.flatMap((name) => this.#firsts.get(name) ?? [])
    const title = this.#firsts.get('title')
    return {
      url: this.#url,
      base: this.#base,
      ...(this.#language ? { language: this.#language } : {}),
      ...(title ? { title } : {}),
      headings,
      metas: this.#metas,
      links: this.#links.flatMap(({ address, ...link }) => {
        const url = absolute(address, this.#base)
        return url ? [{ ...link, url }] : []
      }),
      paragraphs: this.#text.end(),
      pictures: this.#pictures.end((address) => absolute(address, this.#base)),
      jsonLd: this.#jsonLd,
    }
  }

  #openHead(name: string, attributes: Attributes): void {
    if (name === 'meta') this.#meta(attributes)
    else if (name === 'link') this.#link(attributes)
    else if (name === 'base') this.#setBase(attributes.get('href'))
    else if (name === 'html') this.#language ??= attributes.get('lang')?.trim().slice(0, LONGEST_NAME)
    else if (name === 'script') this.#script(attributes)
  }

  #meta(attributes: Attributes): void {
    if (this.#metas.length >= MOST_METAS) return
    const content = this.#contentOf(attributes.get('content') ?? '')
    if (content === '' || this.#nesting.outOf === 'template') return
    const names = ['property', 'name', 'itemprop'].flatMap((key) => words(attributes.get(key)))
    for (const name of new Set(names)) {
      if (this.#metas.length < MOST_METAS) this.#metas.push({ name: bounded(name, LONGEST_NAME), content })
    }
  }

  #contentOf(content: string): string {
    if (!content.startsWith('data:')) return bounded(tidy(content), LONGEST_TEXT)
    if (content.length > this.#dataRoom) return ''
    this.#dataRoom -= content.length
    return content
  }

  #link(attributes: Attributes): void {
    const address = attributes.get('href')?.trim()
    const type = attributes.get('type')?.trim().toLowerCase().slice(0, LONGEST_NAME)
    if (!address) return
    const [, width, height] = /^\s*(\d{1,5})x(\d{1,5})/i.exec(attributes.get('sizes') ?? '') ?? []
    const size = width && height ? { width: pixels(width), height: pixels(height) } : {}
    for (const rel of new Set(words(attributes.get('rel')))) {
      if (!RELATIONS.has(rel) || (rel === 'alternate' && !type) || this.#links.length >= MOST_LINKS) continue
      this.#links.push({ rel, address: bounded(address, LONGEST_TEXT), ...(type ? { type } : {}), ...size })
    }
  }

  /** The first counts, and only an address that pages are fetched from. Source: HTML 4.2.3. */
  #setBase(href: string | undefined): void {
    if (href === undefined || this.#hasBase) return
    this.#hasBase = true
    this.#base = pageAddress(href, this.#url) ?? this.#url
  }

  #script(attributes: Attributes): void {
    const wanted = attributes.get('type')?.trim().toLowerCase() === 'application/ld+json'
    if (wanted && this.#jsonLd.length < MOST_JSON_LD && this.#jsonRoom > 0) this.#json = ''
  }

  #endScript(): void {
    const json = this.#json
    this.#json = undefined
    if (json === undefined || json.length > Math.min(LONGEST_JSON_LD, this.#jsonRoom)) return
    this.#jsonRoom -= json.length
    try {
      this.#jsonLd.push(JSON.parse(withoutWrapping(json)))
    } catch {
      // Many pages have broken ones; what else they say about themselves remains.
    }
  }

  #isGathered(name: string): boolean {
    if (this.#gathered || this.#firsts.has(name)) return false
    if (this.#isFeed) return GATHERED_IN_FEEDS.has(name)
    return GATHERED.has(name) && (this.#nesting.region !== 'out' || this.#nesting.outOf === 'header')
  }

  #endGathered(name: string, gathered: string): void {
    this.#gathered = undefined
    const raw = this.#isFeed ? withoutCdata(gathered) : gathered
    const text = bounded(tidy(resolveEntities(raw)), LONGEST_HEADING)
    if (text === '') return
    this.#firsts.set(name, text)
    if (name === 'subtitle' || name === 'description') this.#metas.push({ name: 'description', content: text })
  }

  /** Whether the reader is in something within a heading that is no text of it. */
  #isDrawing(): boolean {
    return this.#nesting.region === 'out' && this.#nesting.outOf !== 'header'
  }
}

function words(text: string | undefined): string[] {
  return text ? text.toLowerCase().split(/\s+/).filter(Boolean) : []
}

/** What hides a script from browsers that are long gone. */
function withoutWrapping(json: string): string {
  return json
    .replace(/^\s*(?:<!--|(?:\/[/*]\s*)?<!\[CDATA\[(?:\s*\*\/)?)/, '')
    .replace(/(?:-->|(?:\/[/*]\s*)?\]\]>(?:\s*\*\/)?)\s*$/, '')
}

function withoutCdata(text: string): string {
  return text.replaceAll(/<!\[CDATA\[([^]*?)\]\]>/g, '$1')
}
