import type { Readable } from 'node:stream'

/** What an address gave, before anybody has looked into it. */
export interface Source extends AsyncDisposable {
  /** As it was asked for. */
  readonly asked: URL
  /** Where it came from in the end. */
  readonly url: URL
  /**
   * 200, or that of a page that wants something first: to sign in, to pay, consent (401, 402, 403, 406, 451). Of such a page
   * only what it says for those who preview it counts: OpenGraph and the like, never its text.
   */
  readonly status: number
  /** Lower case, without parameters; empty if the site named none. */
  readonly contentType: string
  /** As the Content-Type header says; absent if it does not. */
  readonly charset?: string
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Size of the whole, in bytes, where the site says it. */
  readonly length?: number
  /** Ends after as many bytes as may be read, with no error. To be read once, or not at all. */
  readonly body: Readable
}

/** A picture that could stand for a page. */
export interface Picture {
  /** `http:`, `https:`, or `data:` for one that stands in the page itself. */
  readonly url: URL
  /** In pixels, as the page says. */
  readonly width?: number
  readonly height?: number
  readonly contentType?: string
  readonly alt?: string
}

/** What one previewer found. Texts are those of the page: entities resolved, spaces collapsed, not shortened. */
export interface Draft {
  readonly title?: string
  readonly description?: string
  readonly siteName?: string
  readonly type?: string
  /** The page's own address, absolute. */
  readonly url?: string
  /** The best first. */
  readonly pictures?: readonly Picture[]
  /** Other properties, by the name they have in the answer: `og:video`, `article:author`. */
  readonly more?: ReadonlyMap<string, string | number>
}
