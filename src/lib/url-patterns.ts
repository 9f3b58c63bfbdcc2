import { domainToASCII, domainToUnicode } from 'node:url'
import { matchesGlob } from './glob.ts'

/** What addresses a pattern stands for; see `urlPattern`. */
export interface UrlPattern {
  matches(url: URL): boolean
}

/** scheme://host:port/path, of which only the host has to be there. The host may be an IPv6 address in brackets. */
const PARTS = /^(?:(https?):\/\/)?(\[[^\]]*\]|[^\s/:?#[\]@\\]+)(?::(\d{1,5}))?(\/.*)?$/iu
/** How often a path may have been encoded over itself; servers decode once, some twice. */
const DECODED_AT_MOST = 3

/**
 * A pattern of addresses: a host, with a path if wanted (`*.example.com`, `example.org/private/*`), scheme and port where only
 * those are meant. `*` stands for anything, dots and slashes included. Hosts and paths are compared without regard to case, in
 * each of the ways in which they can be written: a pattern is there to forbid something. Undefined if the text is none.
 */
export function urlPattern(text: string): UrlPattern | undefined {
  const [, scheme, host, port, path] = PARTS.exec(text.trim()) ?? []
  if (host === undefined || Number(port ?? 0) > 65_535) return undefined
  const hosts = hostForms(host)
  if (hosts.size === 0) return undefined
  const paths = path === undefined ? undefined : pathForms(path)
  const hasQuery = path?.includes('?') ?? false
  return {
    matches(url) {
      if (scheme !== undefined && `${scheme.toLowerCase()}:` !== url.protocol) return false
      if (port !== undefined && Number(port) !== portOf(url)) return false
      if (!someMatch(hosts, hostForms(url.hostname))) return false
      return paths === undefined || someMatch(paths, pathForms(hasQuery ? url.pathname + url.search : url.pathname))
    },
  }
}

function someMatch(globs: ReadonlySet<string>, texts: ReadonlySet<string>): boolean {
  return [...globs].some((glob) => [...texts].some((text) => matchesGlob(glob, text)))
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port)
  return protocol === 'http:' ? 80 : 443
}

/** A host, or a pattern of hosts, in ASCII (Punycode) and in Unicode, lower case, without the dot of the root. */
function hostForms(host: string): ReadonlySet<string> {
  const dotted = host.toLowerCase().normalize('NFKC').replaceAll('。', '.').replace(/\.+$/, '')
  if (dotted.includes('*')) {
    const labels = dotted.split('.')
    return new Set([domainToASCII, domainToUnicode].map((to) => labels.map((label) => converted(label, to)).join('.')))
  }
  // As addresses are read: 2130706433 is 127.0.0.1, and [0:0::1] is [::1].
  const read = URL.parse(`http://${dotted}/`)?.hostname
  return new Set(read === undefined ? [] : [read, domainToUnicode(read) || read])
}

/** A label of a pattern. Of one with stars nothing can be said; a number would be read as an address. */
function converted(label: string, to: (label: string) => string): string {
  return !label.includes('*') && /[^\x20-\x7e]|^xn--/.test(label) ? to(label) || label : label
}

/** The ways in which a server may read a path: decoded or not, without empty and dotted parts. */
function pathForms(path: string): ReadonlySet<string> {
  const forms = new Set<string>()
  let form = path
  for (let times = 0; times <= DECODED_AT_MOST; times++) {
    forms.add(form.toLowerCase())
    forms.add(tidy(form).toLowerCase())
    form = decode(form)
  }
  return forms
}

function decode(path: string): string {
  return path.replaceAll(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    const bytes = Buffer.from(encoded.replaceAll('%', ''), 'hex')
    return bytes.toString('utf8')
  })
}

function tidy(path: string): string {
  const parts: string[] = []
  for (const part of path.split(/[/\\]+/).slice(1)) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
