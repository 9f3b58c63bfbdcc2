import type { Link } from './facts.ts'
import type { Draft, Source } from './preview.ts'

/** What pages call their oEmbed answer, the best first. The last is a mistake that large sites make. */
const TYPES = ['application/json+oembed', 'text/json+oembed', 'text/xml+oembed', 'application/xml+oembed']
const RELS = new Set(['alternate', 'alternative'])

/**
 * Where a page says that its oEmbed answer is: in its `Link` headers or in its markup; JSON rather than XML. To be fetched as
 * it is. Source: oEmbed specification, section 4.
 */
export function discoveredEndpoint(page: Pick<Source, 'url' | 'headers'>, links: readonly Link[]): URL | undefined {
  const all = [...linksInHeaders(page), ...links].filter(
    ({ rel, type, url }) => RELS.has(rel) && type !== undefined && TYPES.includes(type) && isWeb(url),
  )
  return all.toSorted((a, b) => TYPES.indexOf(a.type ?? '') - TYPES.indexOf(b.type ?? ''))[0]?.url
}

/** Whether oEmbed could tell something that a page has not told itself. Most blogs offer it, and repeat what they have said. */
export function isWorthAsking({ title, siteName, pictures = [] }: Draft): boolean {
  return title === undefined || siteName === undefined || pictures.length === 0
}

const LONGEST_HEADER = 16 * 1024
const MOST_LINKS = 50

function linksInHeaders({ url, headers }: Pick<Source, 'url' | 'headers'>): Link[] {
  const text = [headers['link'] ?? []].flat().join(', ')
  return text.length > LONGEST_HEADER
    ? []
    : parseLinks(text).flatMap(({ target, parameters }) => linkOf(url, target, parameters))
}

function linkOf(page: URL, target: string, parameters: ReadonlyMap<string, string>): Link[] {
  const url = URL.parse(target, page.href)
  const type = parameters.get('type')?.toLowerCase()
  // A link of something else than this page is said so.
  if (!url || parameters.has('anchor')) return []
  const rels = (parameters.get('rel') ?? '').toLowerCase().split(/\s+/)
  return rels.map((rel) => ({ rel, url, ...(type !== undefined && { type }) }))
}

interface ParsedLink {
  readonly target: string
  readonly parameters: ReadonlyMap<string, string>
}

const TARGET = /[\s,]*<([^<>]*)>/y
const PARAMETER = /\s*;\s*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y

/** Source: RFC 8288, section 3 and appendix B.2. Ends where it is no link header any more. */
function parseLinks(text: string): ParsedLink[] {
  const links: ParsedLink[] = []
  let at = 0
  const next = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found) at = pattern.lastIndex
    return found
  }
  for (let target = next(TARGET); target && links.length < MOST_LINKS; target = next(TARGET)) {
    const parameters = new Map<string, string>()
    for (let found = next(PARAMETER); found; found = next(PARAMETER)) {
      const [, name = '', quoted, bare = ''] = found
      // Of the same parameter twice the first counts.
      if (!parameters.has(name.toLowerCase()))
        parameters.set(name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? bare)
    }
    links.push({ target: (target[1] ?? '').trim(), parameters })
  }
  return links
}

function isWeb({ protocol }: URL): boolean {
  return protocol === 'https:' || protocol === 'http:'
}
