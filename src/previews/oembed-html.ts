import { type Attributes, Markup, type MarkupReader, resolveEntities } from './markup.ts'
import type { Picture } from './preview.ts'
import { bounded, tidy } from './text.ts'

/** What the HTML of an oEmbed answer would show, if somebody showed it. */
export interface Embedded {
  readonly text?: string
  readonly pictures: readonly Picture[]
  /** Of a film: an address of its player or of the film itself, and its type. */
  readonly player?: { readonly url: URL; readonly contentType?: string }
}

/** Elements whose text nobody sees, or that stand in for what could not be shown. */
const UNSEEN = new Set([
  'script',
  'style',
  'template',
  'noscript',
  'iframe',
  'object',
  'video',
  'audio',
  'svg',
  'math',
  'title',
  'head',
])
/** Elements that do not part words. */
const INLINE = new Set([
  'a',
  'abbr',
  'b',
  'bdi',
  'bdo',
  'cite',
  'code',
  'data',
  'em',
  'font',
  'i',
  'mark',
  'q',
  's',
  'small',
  'span',
  'strong',
  'sub',
  'sup',
  'time',
  'u',
  'wbr',
])
const WANTED: MarkupReader['wanted'] = new Map([
  ['img', new Set(['src', 'width', 'height'])],
  ['iframe', new Set(['src'])],
  ['video', new Set(['src', 'type'])],
  ['source', new Set(['src', 'type'])],
])
const MOST_PICTURES = 3
const LONGEST_TEXT = 5000

/** Reads HTML that is meant to be put into a page. Nothing of it is run. Addresses are absolute, on the web. */
export function embeddedIn(html: string, base: URL): Embedded {
  const pieces: string[] = []
  const pictures: Picture[] = []
  const players: { readonly url: URL; readonly contentType?: string }[] = []
  let unseen: string | undefined
  const markup = new Markup(
    {
      wanted: WANTED,
      open: (name, attributes, closed) => {
        if (name === 'img' && unseen === undefined) pictures.push(...pictureOf(attributes, base))
        if (name === 'iframe' || name === 'video' || name === 'source')
          players.push(...playerOf(name, attributes, base))
        if (!closed && unseen === undefined && UNSEEN.has(name)) unseen = name
        if (!INLINE.has(name)) pieces.push(' ')
      },
      close: (name) => {
        if (name === unseen) unseen = undefined
        if (!INLINE.has(name)) pieces.push(' ')
      },
      text: (piece) => {
        if (unseen === undefined) pieces.push(piece)
      },
    },
    { xml: false },
  )
  markup.write(html)
  markup.end()
  const text = bounded(tidy(resolveEntities(pieces.join(''))), LONGEST_TEXT)
  const [player] = players
  return { pictures: pictures.slice(0, MOST_PICTURES), ...(text !== '' && { text }), ...(player && { player }) }
}

function pictureOf(attributes: Attributes, base: URL): Picture[] {
  const url = webAddress(attributes.get('src'), base)
  const width = pixelsOf(attributes.get('width'))
  const height = pixelsOf(attributes.get('height'))
  // A picture of a few pixels counts visitors.
  if (!url || (width !== undefined && width < 10) || (height !== undefined && height < 10)) return []
  return [{ url, ...(width !== undefined && { width }), ...(height !== undefined && { height }) }]
}

function playerOf(element: string, attributes: Attributes, base: URL) {
  const url = webAddress(attributes.get('src'), base)
  if (!url) return []
  const contentType = element === 'iframe' ? 'text/html' : attributes.get('type')?.toLowerCase()
  return [{ url, ...(contentType && { contentType }) }]
}

/** An address as oEmbed has them: `https://…`, `http://…` or `//…`; undefined if it is none of these. */
export function webAddress(value: unknown, base: URL): URL | undefined {
  if (typeof value !== 'string' || !/^(?:https?:)?\/\//i.test(value.trim())) return undefined
  const url = URL.parse(value.trim(), base.href)
  return url && url.username === '' && url.password === '' ? url : undefined
}

/** A number of pixels, from a number or text of digits; undefined if it is neither, or no size. */
export function pixelsOf(value: unknown): number | undefined {
  const number =
    typeof value === 'string' && /^\s*\d+(?:\.\d+)?(?:px)?\s*$/.test(value) ? Number.parseFloat(value) : value
  return typeof number === 'number' && number >= 1 && number <= 100_000 ? Math.round(number) : undefined
}
