import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Which addresses may be dialled: an allowed network must contain one, and no disallowed one may. */
export interface NetworkRules {
  /** Why the address may not be dialled, naming the option that says so; undefined if it may. */
  refusalOf(address: string): string | undefined
}

export interface NetworkLists {
  /** The section of the configuration that has the lists, such as `federation`. */
  readonly section: string
  /** Networks in CIDR notation; the configuration has checked them. */
  readonly allowedNetworks: readonly string[]
  readonly disallowedNetworks: readonly string[]
}

interface Network {
  readonly text: string
  readonly bytes: readonly number[]
  readonly bits: number
}

type Bytes = readonly number[]

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/**
 * Where no server can be, whatever the configuration says: "this host" (which leads to the own machine), multicast, reserved
 * and broadcast (RFC 6890).
 */
const NEVER = ['0.0.0.0/8', '::/128', '224.0.0.0/4', '240.0.0.0/4', 'ff00::/8'].map(parseNetwork)

/**
 * The rules that two lists make. An IPv6 address that leads to an IPv4 address (mapped, translated, tunnelled) has to pass as
 * both. A prefix of its own that a network translates with cannot be known here; it belongs into `disallowedNetworks`.
 */
export function networkRules({ section, allowedNetworks, disallowedNetworks }: NetworkLists): NetworkRules {
  const allowed = allowedNetworks.map(parseNetwork)
  const disallowed = disallowedNetworks.map(parseNetwork)
  const refusal = (bytes: Bytes): string | undefined => {
    if (NEVER.some((network) => contains(network, bytes))) return 'no server can have such an address'
    const forbidding = disallowed.find((network) => contains(network, bytes))
    if (forbidding) return `${section}.disallowedNetworks has ${forbidding.text}`
    return allowed.some((network) => contains(network, bytes)) ? undefined : `not in ${section}.allowedNetworks`
  }
  return {
    refusalOf(address) {
      for (const bytes of formsOf(address)) {
        const why = refusal(bytes)
        if (why !== undefined) return describe(address, bytes, why)
      }
      return undefined
    },
  }
}

/**
 * Every address that dialling this one may lead to, as bytes: itself, and the IPv4 addresses inside it. An IPv4-mapped one is
 * an IPv4 address and nothing else.
 *
 * @throws {Error} for a text that is no address in its usual spelling
 */
function formsOf(address: string): readonly Bytes[] {
  const bytes = bytesOf(address)
  if (bytes.length === 4) return [bytes]
  if (startsWith(bytes, MAPPED)) return [bytes.slice(12)]
  return [bytes, ...EMBEDDINGS.filter(({ holds }) => holds(bytes)).flatMap(({ inside }) => inside(bytes))]
}

/**
 * What one caller surely has of an address: an IPv4 address itself, of an IPv6 address the network of 64 bits, in which a customer may
 * choose. A text that is no address stands for itself.
 */
export function callerBlock(address: string): string {
  // Of nearly all requests, and in its one spelling already.
  if (isIPv4(address)) return address
  const [bare = ''] = address.split('%', 1)
  if (isIP(bare) === 0) return address
  const [bytes = []] = formsOf(bare)
  if (bytes.length === 4) return bytes.join('.')
  return `${ipaddr.fromByteArray([...bytes.slice(0, 8), ...MAPPED.slice(0, 8)]).toString()}/64`
}

/** The host of a URL or server name as an address, without brackets; undefined if it is a name. */
export function literalAddress(host: string): string | undefined {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  return isIP(bare) > 0 ? bare : undefined
}

/**
 * Whether a host that is no address looks like one in a spelling of old (`0x7f.1`, `2130706433`, `0177.0.0.1`). No name of the
 * DNS ends in a number, and what understands these would understand an address (URL standard, "ends in a number").
 */
export function isOddAddress(host: string): boolean {
  const last = host.replace(/\.$/, '').split('.').at(-1) ?? ''
  return isIP(host) === 0 && /^(?:[0-9]+|0[xX][0-9a-fA-F]*)$/.test(last)
}

const lastFour = (bytes: Bytes) => [bytes.slice(12)]

/** IPv6 addresses from which, on some networks, packets go on to an IPv4 address. */
const EMBEDDINGS: readonly {
  readonly holds: (bytes: Bytes) => boolean
  readonly inside: (bytes: Bytes) => readonly Bytes[]
}[] = [
  // IPv4-compatible (RFC 4291 §2.5.5.1), which ::1 only looks like.
  {
    holds: (bytes) => bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).some((byte) => byte > 0),
    inside: lastFour,
  },
  // IPv4-translated, ::ffff:0:a.b.c.d (RFC 2765).
  { holds: (bytes) => startsWith(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0]), inside: lastFour },
  // NAT64's well-known prefix (RFC 6052).
  { holds: (bytes) => startsWith(bytes, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]), inside: lastFour },
  // NAT64's local prefix (RFC 8215), with any of the lengths that RFC 6052 §2.2 knows and that fit.
  {
    holds: (bytes) => startsWith(bytes, [0, 0x64, 0xff, 0x9b, 0, 1]),
    inside: (bytes) => {
      const places = [
        bytes.slice(12),
        [...bytes.slice(6, 8), ...bytes.slice(9, 11)],
        [...bytes.slice(7, 8), ...bytes.slice(9, 12)],
        bytes.slice(9, 13),
      ]
      // Where nothing but filling is, no address was put: else every address behind such a prefix would lead to 0.0.0.0 too.
      const filled = places.filter(([first]) => first !== 0)
      return filled.length > 0 ? filled : places
    },
  },
  // 6to4 (RFC 3056).
  { holds: (bytes) => startsWith(bytes, [0x20, 0x02]), inside: (bytes) => [bytes.slice(2, 6)] },
  // Teredo: its server, and the client, whose bits are turned round (RFC 4380 §4).
  {
    holds: (bytes) => startsWith(bytes, [0x20, 0x01, 0, 0]),
    inside: (bytes) => [bytes.slice(4, 8), bytes.slice(12).map((byte) => byte ^ 0xff)],
  },
  // ISATAP (RFC 5214 §6.1), below any prefix.
  {
    holds: (bytes) => [0, 2].includes(bytes[8] ?? -1) && startsWith(bytes.slice(9), [0, 0x5e, 0xfe]),
    inside: lastFour,
  },
]

function parseNetwork(text: string): Network {
  const [address = '', length = ''] = text.split('/')
  const bytes = bytesOf(address)
  const bits = Number(length)
  // A network of mapped addresses is one of IPv4 addresses: that is how these are looked at.
  if (bytes.length === 16 && bits >= 96 && startsWith(bytes, MAPPED))
    return { text, bytes: bytes.slice(12), bits: bits - 96 }
  return { text, bytes, bits }
}

function contains({ bytes, bits }: Network, address: Bytes): boolean {
  if (bytes.length !== address.length) return false
  const whole = bits >> 3
  const mask = (0xff00 >> (bits & 7)) & 0xff
  const sameStart = bytes.slice(0, whole).every((byte, index) => byte === address[index])
  return sameStart && ((bytes[whole] ?? 0) & mask) === ((address[whole] ?? 0) & mask)
}

function bytesOf(address: string): Bytes {
  const [bare = ''] = address.split('%', 1)
  if (isIP(bare) === 0) throw new Error(`${JSON.stringify(address)} is no IP address`)
  return ipaddr.parse(bare).toByteArray()
}

function startsWith(bytes: Bytes, start: Bytes): boolean {
  return start.every((byte, index) => bytes[index] === byte)
}

function describe(address: string, form: Bytes, why: string): string {
  const text = ipaddr.fromByteArray([...form]).toString()
  return text === address ? `${address}: ${why}` : `${address} leads to ${text}: ${why}`
}
