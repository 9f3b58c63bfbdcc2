import { isIP, type Socket } from 'node:net'
import { createSecureContext, connect as connectTls, getCACertificates, rootCertificates } from 'node:tls'
import type { SecureContext, TLSSocket } from 'node:tls'
import { isOddAddress, literalAddress, type NetworkRules } from './addresses.ts'
import type { Clock } from './clock.ts'
import type { Dial } from './dial.ts'
import type { NameLookup } from './name-lookup.ts'
import { type Trace, traced } from './steps.ts'

/** Where a connection may lead: a name or an address (without brackets), and a port. */
export interface Target {
  readonly host: string
  readonly port: number
  /** Lower ones first; SRV records have them (RFC 2782). */
  readonly priority?: number
  /** Among targets of one priority, how often it should come first. */
  readonly weight?: number
}

/** A server: where it may be, and how it proves who it is. */
export interface Route {
  readonly targets: readonly Target[]
  /** The name or address (without brackets) that its certificate must have; undefined: plain HTTP. */
  readonly tlsName: string | undefined
}

export interface ConnectParts {
  readonly clock: Clock
  readonly lookup: Pick<NameLookup, 'addresses'>
  readonly rules: () => NetworkRules
  readonly dial: Dial
  /** 0 ≤ random() < 1. */
  readonly random: () => number
  /** Told of every connection that the rules forbade. */
  readonly onRefused: (refusal: AddressRefused) => void
  /** Certificates are not checked: MEDIA_REPO_UNSAFE_FEDERATION, for tests. */
  readonly anyCertificate?: boolean
  /** The authorities to trust: see `trust`. */
  readonly secureContext: () => SecureContext
}

const CONNECT_MS = 10_000
/** No further target is begun after so long. A server whose hundred targets are all silent would keep us for half an hour. */
const ALL_TARGETS_MS = 30_000
/** Of what a server lists, so much is tried: nobody is to make us knock on a thousand doors with one record. */
const TARGETS_AT_MOST = 10
const ADDRESSES_AT_MOST = 20

/** All addresses of a server are in networks that must not be dialled; nothing was sent. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
  readonly host: string
  /** Names the option that forbids it. */
  readonly why: string

  constructor(host: string, why: string) {
    super(`${host} is not connected to: ${why}`)
    this.host = host
    this.why = why
  }
}

/** Makes the connections of one server. The target that worked last is tried first. */
export class Connector {
  readonly #parts: ConnectParts
  readonly #route: Route
  readonly #trace: Trace | undefined
  #good: Target | undefined
  /** Of the last connection: a server that remembers it sends and proves less at the next. */
  #session: Buffer | undefined

  constructor(parts: ConnectParts, route: Route, trace?: Trace) {
    this.#parts = parts
    this.#route = route
    this.#trace = trace
  }

  /**
   * A connection to the first target that takes one and, over TLS, proves who it is. At most ten are tried, for half a minute.
   *
   * @throws {Error} that says of each target why not; {@link AddressRefused} if no target may be dialled
   */
  async connect(): Promise<Socket> {
    const failures: Error[] = []
    const until = this.#parts.clock.now() + ALL_TARGETS_MS
    for (const target of this.#inOrder().slice(0, TARGETS_AT_MOST)) {
      if (failures.length > 0 && this.#parts.clock.now() >= until) break
      try {
        const socket = await this.#connectTo(target)
        this.#good = target
        return socket
      } catch (error) {
        failures.push(error instanceof Error ? error : new Error(String(error)))
      }
    }
    this.#good = undefined
    const [first] = failures
    if (first && (failures.length === 1 || failures.every((failure) => failure instanceof AddressRefused))) throw first
    throw new Error(failures.map(({ message }) => message).join('; ') || 'there is nowhere to connect to', {
      cause: new AggregateError(failures),
    })
  }

  #inOrder(): readonly Target[] {
    const ordered = orderTargets(this.#route.targets, this.#parts.random)
    const good = this.#good
    return good ? [good, ...ordered.filter((target) => target !== good)] : ordered
  }

  async #connectTo({ host, port }: Target): Promise<Socket> {
    const how = { clock: this.#parts.clock, trace: this.#trace }
    const addresses = await traced(how, `addresses of ${host}`, () => allowedAddresses(this.#parts, host))
    const dialled = () => this.#parts.dial(addresses, port, { timeoutMs: CONNECT_MS })
    const socket = await traced(how, `connect to ${host} port ${port}`, dialled, (socket) => socket.remoteAddress)
    const { tlsName } = this.#route
    if (tlsName === undefined) return socket
    const secured = () => this.#secure(socket, tlsName)
    return await traced(how, `TLS with ${tlsName}`, secured, (socket) => socket.getProtocol())
  }

  async #secure(socket: Socket, tlsName: string): Promise<TLSSocket> {
    const session = this.#session
    // Whatever is wrong with it is wrong once.
    this.#session = undefined
    const secured = await secure(this.#parts, socket, tlsName, { session, keep: (latest) => (this.#session = latest) })
    this.#session ??= session
    return secured
  }
}

/**
 * Targets in the order in which to try them: by priority, and among equals at random, those with more weight more often
 * (RFC 2782).
 */
export function orderTargets(targets: readonly Target[], random: () => number): readonly Target[] {
  const rest = [...targets].sort((one, other) => (one.priority ?? 0) - (other.priority ?? 0))
  const ordered: Target[] = []
  while (rest.length > 0) {
    const priority = rest[0]?.priority ?? 0
    const equals = rest.filter((target) => (target.priority ?? 0) === priority)
    ordered.push(...rest.splice(pick(equals, random), 1))
  }
  return ordered
}

/** The index of one target, at random by weight. Those of weight 0 keep a small chance. */
function pick(targets: readonly Target[], random: () => number): number {
  const weights = targets.map(({ weight = 0 }) => weight || 0.1)
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0)
  const index = weights.findIndex((weight) => (left -= weight) < 0)
  return Math.max(0, index)
}

/** What of a host may be dialled. A server with one good and one forbidden address is reached by the good one. */
async function allowedAddresses(parts: ConnectParts, host: string): Promise<readonly string[]> {
  if (isOddAddress(host)) throw refuse(parts, host, 'an address has to be written in the usual way, like 192.0.2.1')
  const literal = literalAddress(host)
  const addresses = literal === undefined ? await parts.lookup.addresses(host) : [literal]
  const rules = parts.rules()
  const refusals = addresses.map((address) => rules.refusalOf(address))
  const allowed = addresses.filter((_, index) => refusals[index] === undefined)
  const why = refusals.find((refusal) => refusal !== undefined)
  if (allowed.length === 0) throw refuse(parts, host, why ?? 'it has no addresses')
  return allowed.slice(0, ADDRESSES_AT_MOST)
}

function refuse(parts: ConnectParts, host: string, why: string): AddressRefused {
  const refusal = new AddressRefused(host, why)
  parts.onRefused(refusal)
  return refusal
}

/** The same connection over TLS, with a certificate for `name`. Addresses are not sent as server name (RFC 6066 §3). */
async function secure(
  parts: ConnectParts,
  socket: Socket,
  name: string,
  { session, keep }: { readonly session: Buffer | undefined; readonly keep: (latest: Buffer) => void },
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const secured = connectTls({
    socket,
    host: name,
    ...(isIP(name) === 0 && { servername: name }),
    ...(session && { session }),
    secureContext: parts.secureContext(),
    rejectUnauthorized: !parts.anyCertificate,
    ALPNProtocols: ['http/1.1'],
  })
  secured.on('session', keep)
  secured.once('secureConnect', () => resolve(secured))
  secured.once('error', reject)
  secured.once('close', () => reject(new Error(`${name} hung up during the TLS handshake`)))
  const slow = () => secured.destroy(new Error(`no TLS handshake with ${name} within ${CONNECT_MS} ms`))
  const deadline = setTimeout(slow, CONNECT_MS)
  try {
    return await promise
  } catch (error) {
    secured.destroy()
    throw error
  } finally {
    clearTimeout(deadline)
    secured.removeListener('error', reject)
  }
}

/**
 * What TLS trusts: the authorities given, as PEM texts, or those of the system and of NODE_EXTRA_CA_CERTS. Made at the first
 * use and kept: reading 150 certificates takes a while.
 */
export function trust(authorities?: readonly string[]): () => SecureContext {
  let context: SecureContext | undefined
  return () =>
    (context ??= createSecureContext({ ca: [...(authorities ?? systemAuthorities())], minVersion: 'TLSv1.2' }))
}

/** The system's authorities (SSL_CERT_FILE and SSL_CERT_DIR are heeded), Node's own where it has none, and the extra ones. */
function systemAuthorities(): readonly string[] {
  const system = getCACertificates('system')
  return [...(system.length > 0 ? system : rootCertificates), ...getCACertificates('extra')]
}
