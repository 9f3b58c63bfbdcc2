import type { Picture } from './preview.ts'

/** One `meta` element. */
export interface Meta {
  /** Its `property`, `name` or `itemprop`, in lower case; one with several names is there once for each. */
  readonly name: string
  /** Never empty. */
  readonly content: string
}

/** One `link` element. */
export interface Link {
  /** In lower case; a link with several is there once for each. */
  readonly rel: string
  readonly url: URL
  /** Lower case, as `application/json+oembed`. */
  readonly type?: string
  /** Of an icon: width and height in pixels, as the page says. */
  readonly width?: number
  readonly height?: number
}

/**
 * What a page of HTML says about itself. Texts have their entities resolved and their spaces collapsed; addresses are absolute.
 * All of it has bounds, however long the page is.
 */
export interface Facts {
  /** Where the page came from in the end. */
  readonly url: URL
  /** What its addresses are relative to. */
  readonly base: URL
  /** As `html` says. */
  readonly language?: string
  readonly title?: string
  /** The first of each of `h1`, `h2` and `h3` that has words. */
  readonly headings: readonly string[]
  readonly metas: readonly Meta[]
  readonly links: readonly Link[]
  /** Paragraphs of the main text, without navigation and the like. */
  readonly paragraphs: readonly string[]
  /** Pictures in the text, the best first. */
  readonly pictures: readonly Picture[]
  /** What stands in scripts of JSON-LD, parsed. */
  readonly jsonLd: readonly unknown[]
}
