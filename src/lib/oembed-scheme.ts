/**
 * An address with `*` for anything, as oEmbed providers say which addresses are theirs. Taken apart once, so that a look-up by
 * host leaves only a few to be compared.
 */
export interface OEmbedScheme {
  /** Lower case, with the port if it is not the usual one; without the `*.` before it. */
  readonly host: string
  /** Whether hosts below that one are meant, and it as well. */
  readonly below: boolean
  /** What stands between the stars of path, query and fragment; one more than there are stars. */
  readonly parts: readonly string[]
  /** Whether it says something of the fragment; if not, addresses are compared without theirs. */
  readonly hasFragment: boolean
}

const PATTERN = /^https?:\/\/((?:\*\.)*)([^/?#*\s]+)([/?#].*)?$/i

/**
 * Takes a pattern apart; undefined if it is none: not of HTTP, or with a star in a host where it would stand for other people's
 * (`*.com`, `example.*`). Source: oEmbed specification, section 2.1.
 */
export function oEmbedScheme(text: string): OEmbedScheme | undefined {
  const [, stars, name = '', path = '/'] = PATTERN.exec(text) ?? []
  const below = (stars ?? '') !== ''
  // HTTP or HTTPS makes no difference: many lists were made before sites moved.
  const host = hostOf(`${text.slice(0, text.indexOf(':'))}://${name}`)
  if (host === undefined || (below && !host.includes('.'))) return undefined
  return { host, below, parts: (path.startsWith('/') ? path : `/${path}`).split('*'), hasFragment: path.includes('#') }
}

function hostOf(address: string): string | undefined {
  const url = URL.parse(address)
  return url && url.username === '' && url.password === '' && url.pathname === '/' ? url.host : undefined
}

/**
 * Whether an address is one of a pattern's, whose host is known to be right. A star stands for one character at least, so that
 * `example.org/*` is what is on a site, not its front page.
 */
export function matchesPath(pattern: OEmbedScheme, url: URL): boolean {
  const text = `${url.pathname}${url.search}${pattern.hasFragment ? url.hash : ''}`
  const [first = '', ...others] = pattern.parts
  if (others.length === 0) return text === first
  const last = others.pop() ?? ''
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const part of others) {
    // The leftmost place leaves most to what follows: no need to go back.
    const found = text.indexOf(part, at + 1)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - last.length > at && text.endsWith(last)
}

/** The host and those above it: `a.example.org`, `example.org`; an IP address alone. With the port, where there is one. */
export function* hostsAbove(host: string): Generator<string> {
  yield host
  if (/^\[|^[\d.]+(?::\d+)?$/.test(host)) return
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) yield host.slice(dot + 1)
}
