import { textInXml } from './bodies.ts'
import { Markup } from './markup.ts'
import { embeddedIn, webAddress } from './oembed-html.ts'
import type { Draft } from './preview.ts'
import { bounded, tidy } from './text.ts'

export interface Feed {
  readonly contentType: 'application/atom+xml' | 'application/rss+xml' | 'application/feed+json'
  readonly draft: Draft
}

/** By the first element. */
const ROOTS: ReadonlyMap<string, Feed['contentType']> = new Map([
  ['feed', 'application/atom+xml'],
  ['rss', 'application/rss+xml'],
  // RSS 1.0.
  ['rdf:rdf', 'application/rss+xml'],
])
/** What is read, by the elements around it: of Atom, RSS and RSS 1.0. */
const WANTED: ReadonlyMap<string, 'title' | 'description' | 'picture'> = new Map([
  ['feed/title', 'title'],
  ['feed/subtitle', 'description'],
  ['feed/logo', 'picture'],
  ['rss/channel/title', 'title'],
  ['rss/channel/description', 'description'],
  ['rss/channel/image/url', 'picture'],
  ['rdf:rdf/channel/title', 'title'],
  ['rdf:rdf/channel/description', 'description'],
  ['rdf:rdf/image/url', 'picture'],
])
const LONGEST_TEXT = 5000

/**
 * What a feed says of itself, from its text or the first part of it: title, subtitle, logo. Undefined if it is none.
 * Source: RFC 4287, RSS 2.0, JSON Feed 1.1.
 */
export function readFeed(text: string, base: URL): Feed | undefined {
  return /^\s*\{/.test(text) ? jsonFeed(text, base) : xmlFeed(text, base)
}

const JSON_FEED = 'https://jsonfeed.org/version/'

/** Whether a text begins like a JSON feed, which can be read only as a whole. */
export function mayBeJsonFeed(begin: string): boolean {
  return /^\s*\{/.test(begin) && /https:\\?\/\\?\/jsonfeed\.org/.test(begin)
}

function xmlFeed(text: string, base: URL): Feed | undefined {
  const path: string[] = []
  const said = new Map<'title' | 'description' | 'picture', string>()
  let root: string | undefined
  const markup = new Markup(
    {
      wanted: new Map([['itunes:image', new Set(['href'])]]),
      open: (name, attributes, closed) => {
        root ??= name
        // Podcasts have it beside `image`, or alone.
        const isCover = name === 'itunes:image' && path.join('/') === 'rss/channel'
        if (isCover && !said.has('picture')) said.set('picture', attributes.get('href') ?? '')
        if (!closed) path.push(name)
      },
      close: () => {
        path.pop()
      },
      text: (piece) => {
        const what = path.length > 4 ? undefined : WANTED.get(path.join('/'))
        if (what !== undefined) said.set(what, (said.get(what) ?? '') + piece)
      },
    },
    { xml: true },
  )
  markup.write(text)
  markup.end()
  const contentType = ROOTS.get(root ?? '')
  const texts = [...said].map(([what, told]) => [what, textInXml(told)] as const)
  return contentType && { contentType, draft: draftOf(base, Object.fromEntries(texts)) }
}

function jsonFeed(text: string, base: URL): Feed | undefined {
  const feed = parsed(text)
  if (typeof feed !== 'object' || feed === null || !('version' in feed)) return undefined
  if (typeof feed.version !== 'string' || !feed.version.startsWith(JSON_FEED)) return undefined
  const { title, description, icon }: Record<string, unknown> = { ...feed }
  return { contentType: 'application/feed+json', draft: draftOf(base, { title, description, picture: icon }) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Cut, or no JSON: then it is no feed either.
    return undefined
  }
}

function draftOf(
  base: URL,
  said: { readonly title?: unknown; readonly description?: unknown; readonly picture?: unknown },
): Draft {
  const title = plain(said.title)
  const description = plain(said.description)
  const url = webAddress(
    typeof said.picture === 'string' ? URL.parse(said.picture.trim(), base.href)?.href : undefined,
    base,
  )
  return {
    ...(title !== '' && { title }),
    ...(description !== '' && { description }),
    ...(url && { pictures: [{ url }] }),
  }
}

/** Titles and descriptions of feeds may be HTML. */
function plain(value: unknown): string {
  if (typeof value !== 'string') return ''
  const text = /<[a-z]|&#?\w+;/i.test(value) ? (embeddedIn(value, new URL('about:blank')).text ?? '') : tidy(value)
  return bounded(text, LONGEST_TEXT)
}
