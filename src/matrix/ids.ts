import { Buffer } from 'node:buffer'
import { isIPv6 } from 'node:net'

/** What an MXC URI names: `mxc://<origin>/<media id>`. Both halves are valid when this type is held. */
export interface Mxc {
  /** The server name of the homeserver on which the media was uploaded. */
  readonly origin: string
  readonly mediaId: string
}

const LONGEST = 255
const SCHEME = 'mxc://'
const MEDIA_ID = /^[A-Za-z0-9_-]{1,255}$/
/** For those who only can compare with a pattern: what `isServerName` takes, but for what stands in brackets. */
export const SERVER_NAME_PATTERN = String.raw`(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.?)(:[0-9]{1,5})?`
const NAME_AND_PORT = /^(?<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})(?::[0-9]{1,5})?$/

/** RFC 4648's base 32, in lower case: 5 bits a letter, and no two ids differ in case only. */
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567'
const OWN_LENGTH = 32

/**
 * The parts of an MXC URI, or undefined when it is none (specification, "Matrix Content (mxc://) URIs"). A query string is
 * cut off, as MMR does: some clients append one.
 */
export function parseMxc(text: string): Mxc | undefined {
  if (!text.startsWith(SCHEME)) return undefined
  const [path = ''] = text.slice(SCHEME.length).split('?', 1)
  const [origin = '', mediaId = '', ...more] = path.split('/')
  return more.length === 0 && isServerName(origin) && isMediaId(mediaId) ? { origin, mediaId } : undefined
}

/** The MXC URI of a media. */
export function formatMxc(media: Mxc): string {
  return `${SCHEME}${media.origin}/${media.mediaId}`
}

/**
 * Whether a text is a server name: host name, IPv4 or bracketed IPv6 address, with or without a port, at most 255 characters
 * (specification, appendix "Server Name"). Stricter than the grammar in two places, so that a name can be part of a path:
 * no empty label (`..`), and what stands in brackets must be an IPv6 address.
 */
export function isServerName(text: string): boolean {
  if (text.length > LONGEST) return false
  const host = NAME_AND_PORT.exec(text)?.groups?.['host']
  if (host === undefined) return false
  if (host.startsWith('[')) return isIPv6(host.slice(1, -1))
  return !host.startsWith('.') && !host.includes('..')
}

/** Whether a text can be a media id: 1–255 of `A-Z a-z 0-9 _ -` (specification, "Security considerations" of MXC URIs). */
export function isMediaId(text: string): boolean {
  return MEDIA_ID.test(text)
}

/**
 * Whether a text is a user id, `@localpart:server`, at most 255 bytes. Local parts of old users may be empty and hold any
 * character but `:` and NUL (specification, appendix "User identifiers", historical user ids).
 */
export function isUserId(text: string): boolean {
  return serverOf(text) !== undefined
}

/** The server name in a user id, or undefined when the text is no user id. */
export function serverOf(userId: string): string | undefined {
  const colon = userId.indexOf(':')
  if (!userId.startsWith('@') || colon < 0 || userId.includes('\0')) return undefined
  if (Buffer.byteLength(userId) > LONGEST) return undefined
  const server = userId.slice(colon + 1)
  return isServerName(server) ? server : undefined
}

/**
 * A media id for an upload of ours: 32 lower-case letters and digits, 160 bits. Its length alone keeps it apart from the ids
 * of MMR (58 or more), Synapse (24) and Dendrite (64), which an import brings into the same table.
 */
export function newMediaId(random: (bytes: number) => Uint8Array): string {
  return Array.from(random(OWN_LENGTH), (byte) => LETTERS.charAt(byte & 31)).join('')
}
