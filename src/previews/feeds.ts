import { Markup } from './markup.ts'
import { embeddedIn, webAddress } from './oembed-html.ts'
import type { Draft } from './preview.ts'
import { bounded, tidy } from './text.ts'

export interface Feed {
  readonly contentType: 'application/atom+xml' | 'application/rss+xml' | 'application/feed+json'
  readonly draft: Draft
}

const ATOM = { contentType: 'application/atom+xml', about: 'feed' } as const
const RSS = { contentType: 'application/rss+xml', about: 'channel' } as const
const ROOTS: ReadonlyMap<string, typeof ATOM | typeof RSS> = new Map([
  ['feed', ATOM],
  ['rss', RSS],
  // RSS 1.0.
  ['rdf:rdf', RSS],
])
const LONGEST_TEXT = 5000

/**
 * What a feed says of itself, from its text or the first part of it: title, subtitle, logo. Undefined if it is none.
 * Source: RFC 4287, RSS 2.0, JSON Feed 1.1.
 */
export function readFeed(text: string, base: URL): Feed | undefined {
  return /^\s*\{/.test(text) ? jsonFeed(text, base) : xmlFeed(text, base)
}

function xmlFeed(text: string, base: URL): Feed | undefined {
  const path: string[] = []
  const said = new Map<string, string>()
  const note = (piece: string): void => {
    const key = path.slice(ROOTS.get(path[0] ?? '') === ATOM ? 1 : 2).join('/')
    if (WANTED.has(key)) said.set(key, (said.get(key) ?? '') + piece)
  }
  let root: string | undefined
  const markup = new Markup(
    {
      open: (name, _, closed) => {
        root ??= name
        if (!closed) path.push(name)
      },
      close: () => {
        path.pop()
      },
      text: (piece) => {
        if (path.length > 1 && (path[1] === ROOTS.get(path[0] ?? '')?.about || path[0] === ATOM.about)) note(piece)
      },
    },
    { xml: true },
  )
  markup.write(text)
  markup.end()
  const kind = ROOTS.get(root ?? '')
  if (!kind) return undefined
  const description = said.get('description') ?? said.get('subtitle')
  const picture = said.get('logo') ?? said.get('image/url') ?? said.get('icon')
  return { contentType: kind.contentType, draft: draftOf(base, { title: said.get('title'), description, picture }) }
}

const WANTED = new Set(['title', 'description', 'subtitle', 'logo', 'icon', 'image/url'])

function jsonFeed(text: string, base: URL): Feed | undefined {
  const feed = parsed(text)
  if (typeof feed !== 'object' || feed === null || !('version' in feed)) return undefined
  if (!String(feed.version).startsWith('https://jsonfeed.org/version/')) return undefined
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
  said: { readonly title: unknown; readonly description: unknown; readonly picture: unknown },
): Draft {
  const title = plain(said.title)
  const description = plain(said.description)
  const url = webAddress(
    typeof said.picture === 'string' ? URL.parse(said.picture.trim(), base)?.href : undefined,
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
  const text = /<[a-z]/i.test(value) ? (embeddedIn(value, new URL('about:blank')).text ?? '') : tidy(value)
  return bounded(text, LONGEST_TEXT)
}
