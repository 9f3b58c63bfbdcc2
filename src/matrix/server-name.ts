import { domainToASCII } from 'node:url'
import { literalAddress } from '../lib/addresses.ts'
import { isServerName } from './ids.ts'

/** A server name in its parts. */
export interface ServerAddress {
  /** All of it, as in a Host header. */
  readonly name: string
  /** A DNS name, or an address without brackets. */
  readonly host: string
  readonly isAddress: boolean
  readonly port: number | undefined
}

/**
 * Reads a server name; undefined if the text is none. A name in letters of other alphabets becomes what the DNS knows it by
 * (A-labels, RFC 5891).
 */
export function parseServerName(text: string): ServerAddress | undefined {
  const name = toAscii(text)
  if (!isServerName(name)) return undefined
  const [, bare = '', digits] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(name) ?? []
  const port = digits === undefined ? undefined : Number(digits)
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined
  const address = literalAddress(bare)
  return { name, host: address ?? bare, isAddress: address !== undefined, port }
}

function toAscii(text: string): string {
  // Only where it is needed: it also takes 0x7f.1 for an address, which is none of our spellings.
  if (!/[^\0-\x7f]/.test(text)) return text
  const [host = '', ...rest] = text.split(':')
  return [domainToASCII(host), ...rest].join(':')
}
