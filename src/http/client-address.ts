import ipaddr from 'ipaddr.js'

/**
 * The address a request really comes from, given the connection's own and `X-Forwarded-For`.
 *
 * With `trustAny` it is the first one in the header, whatever it says. Otherwise the header counts only on connections from a
 * private address, where a reverse proxy is; the last public address in it is the one that no client can have made up, and
 * when all are private the last of them. Result: a plain address without port, `::ffff:` prefix or brackets.
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, trustAny: boolean): string {
  const own = peer.startsWith('::ffff:') ? peer.slice('::ffff:'.length) : peer
  if (!forwardedFor) return own
  const forwarded = forwardedFor.split(',').flatMap((entry) => plain(entry.trim()) ?? [])
  if (trustAny) return forwarded[0] ?? own
  if (isPublic(own)) return own
  return forwarded.findLast(isPublic) ?? forwarded.at(-1) ?? own
}

function plain(text: string): string | undefined {
  const address = /^\[(.*)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : undefined
}

/** Where reverse proxies are. Not all that is special: a client may well come from a 6to4 or Teredo address. */
const PRIVATE = new Set(['loopback', 'private', 'linkLocal', 'uniqueLocal', 'carrierGradeNat'])

function isPublic(address: string): boolean {
  return ipaddr.isValid(address) && !PRIVATE.has(ipaddr.process(address).range())
}
