import type { Attributes } from './markup.ts'

/** What a piece of a page is worth as text about it. */
export type Region =
  /** Never shown, or navigation: no text at all. */
  | 'out'
  /** Forms, and what is called a banner, a sidebar and so on: only where there is nothing else. */
  | 'aside'
  | 'body'
  /** Within `main` or `article`. */
  | 'main'

const OUT = new Set(
  (
    'script style template svg math iframe object canvas audio video noembed noframes noscript nav aside ' +
    'footer header dialog select textarea button menu datalist xmp'
  ).split(' '),
)
const OUT_ROLES = new Set([
  'navigation',
  'banner',
  'contentinfo',
  'complementary',
  'search',
  'dialog',
  'alertdialog',
  'menu',
])
const MAIN = new Set(['main', 'article'])
/** Elements that end where their end tag is: others may be left open, and would take the rest of the page with them. */
const CONTAINERS = new Set([
  'div',
  'section',
  'ul',
  'ol',
  'table',
  'form',
  'figure',
  'dl',
  'fieldset',
  'details',
  'span',
])
/** Words of a `class` or `id`, between hyphens and the like, so that `related` is one and `correlated` is not. */
const BOILERPLATE =
  /(?:^|[\s_-])(?:cookies?|consent|gdpr|newsletter|subscri(?:be|ption)|paywall|sidebar|menu|navbar|nav|breadcrumbs?|share|sharing|social|related|recommend(?:ed|ations?)|comments?|advert(?:isement)?|ads?|sponsor(?:ed)?|promo|popup|modal|overlay|toolbar|footer|skip|byline|copyright|disclaimer)(?=$|[\s_-])/i
/** For those who listen to a page, as `Skip to content`. */
const HEARD_ONLY = /(?:^|\s)(?:sr-only|visually-hidden|visuallyhidden|screen-reader-text)(?=$|\s)/
/** The `[1]` of encyclopaedias. */
const FOOTNOTE = /(?:^|[\s_-])(?:reference|footnote(?:-ref)?)(?=$|\s)/
const ATTRIBUTES = new Set(['class', 'id', 'role', 'style', 'hidden', 'aria-hidden'])
const HIDDEN_STYLE = /(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)/i

/** What has to be known of elements to know where one is. */
export const nestingAttributes = [...CONTAINERS, 'sup'].map((name) => [name, ATTRIBUTES] as const)

interface Inside {
  readonly name: string
  /** How many elements of that name are open, this one included. */
  open: number
}

/**
 * In which region of a page its reader is. Only the outermost element of each kind is followed, by counting elements of its name:
 * no stack, so no depth is too deep, and what is not closed properly does little harm.
 */
export class Nesting {
  #out: Inside | undefined
  #aside: Inside | undefined
  #main: Inside | undefined
  #seenMain = false

  get region(): Region {
    if (this.#out) return 'out'
    if (this.#aside) return 'aside'
    return this.#main ? 'main' : 'body'
  }

  /** The element that text is left out for, if there is one. */
  get outOf(): string | undefined {
    return this.#out?.name
  }

  open(name: string, attributes: Attributes): void {
    // Menus and banners that were never closed, and wrappers that are called after their sidebar, do not take the main text along.
    if (name === 'main' || (name === 'article' && !this.#seenMain)) this.#leaveForMain()
    for (const inside of [this.#out, this.#aside, this.#main]) if (inside?.name === name) inside.open++
    if (!this.#out && isOut(name, attributes)) this.#out = { name, open: 1 }
    else if (!this.#out && !this.#aside && isAside(name, attributes)) this.#aside = { name, open: 1 }
    else if (!this.#main && (MAIN.has(name) || attributes.get('role') === 'main')) this.#main = { name, open: 1 }
  }

  #leaveForMain(): void {
    this.#seenMain = true
    if (this.#out && !isRaw(this.#out.name)) this.#out = undefined
    this.#aside = undefined
  }

  close(name: string): void {
    if (closes(this.#out, name)) this.#out = undefined
    if (closes(this.#aside, name)) this.#aside = undefined
    if (closes(this.#main, name)) this.#main = undefined
  }
}

function closes(inside: Inside | undefined, name: string): boolean {
  if (inside?.name !== name) return false
  inside.open--
  return inside.open === 0
}

/** Elements in which nothing else begins. */
function isRaw(name: string): boolean {
  return name === 'template' || name === 'svg' || name === 'math'
}

function isOut(name: string, attributes: Attributes): boolean {
  if (OUT.has(name) || (name === 'sup' && FOOTNOTE.test(attributes.get('class') ?? ''))) return true
  if (attributes.size === 0 || !CONTAINERS.has(name)) return false
  return (
    attributes.has('hidden') ||
    attributes.get('aria-hidden') === 'true' ||
    OUT_ROLES.has(attributes.get('role') ?? '') ||
    HIDDEN_STYLE.test(attributes.get('style') ?? '') ||
    HEARD_ONLY.test(attributes.get('class') ?? '')
  )
}

function isAside(name: string, attributes: Attributes): boolean {
  if (name === 'form') return true
  // Within a line nothing is set apart.
  if (attributes.size === 0 || name === 'span' || !CONTAINERS.has(name)) return false
  return BOILERPLATE.test(attributes.get('class') ?? '') || BOILERPLATE.test(attributes.get('id') ?? '')
}
