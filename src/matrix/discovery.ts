import type { Clock } from '../lib/clock.ts'
import type { Route, Target } from '../lib/connect.ts'
import { type Trace, traced } from '../lib/steps.ts'
import { type ServerAddress, parseServerName } from './server-name.ts'
import { type SrvParts, SrvLookups } from './srv.ts'
import { WellKnown, type WellKnownParts } from './well-known.ts'

/** Where a server is, and what it is called there. */
export interface Destination extends Route {
  /** For the `Host` header. */
  readonly host: string
}

export interface DiscoveryParts extends SrvParts, WellKnownParts {
  readonly clock: Clock
}

const FEDERATION_PORT = 8448
/** The second one is deprecated; it counts where the first does not exist, not where it fails. */
const SERVICES = ['_matrix-fed._tcp', '_matrix._tcp']

/** A server cannot be found, or has said that it is none. */
export class NotFound extends Error {
  override readonly name = 'NotFound'
}

/** Finds out where a Matrix server is (specification, "Resolving server names"). The steps have its numbers. */
export class Discovery {
  readonly #parts: DiscoveryParts
  readonly #wellKnown: WellKnown
  readonly #srv: SrvLookups

  constructor(parts: DiscoveryParts) {
    this.#parts = parts
    this.#wellKnown = new WellKnown(parts)
    this.#srv = new SrvLookups(parts)
  }

  /**
   * Where to connect for a server name. With a trace everything is looked up anew, and told step by step.
   *
   * @throws {NotFound} when it is no server name, or says that it has no federation
   * @throws {LookupFailed} when the DNS does not answer
   */
  async find(serverName: string, trace?: Trace): Promise<Destination> {
    const server = parseServerName(serverName)
    if (!server) throw new NotFound(`${JSON.stringify(serverName)} is no server name`)
    // Steps 1 and 2: an address, or a name with a port, says it all.
    if (server.isAddress || server.port !== undefined) return this.#at(server)
    // Step 3; a delegation is not followed any further.
    const delegated = await this.#delegation(server.host, trace)
    if (delegated && (delegated.isAddress || delegated.port !== undefined)) return this.#at(delegated)
    return await this.#byService(delegated ?? server, trace)
  }

  #delegation(host: string, trace?: Trace): Promise<ServerAddress | undefined> {
    return trace ? this.#wellKnown.findNow(host, trace) : this.#wellKnown.find(host)
  }

  /** Steps 3.3 to 3.5 and 4 to 6. The certificate is the server's own, whichever machine it is on. */
  async #byService(server: ServerAddress, trace?: Trace): Promise<Destination> {
    for (const service of SERVICES) {
      const targets = await this.#targets(`${service}.${server.host}`, trace)
      if (targets) return this.#destination(server, targets)
    }
    return this.#at(server)
  }

  /** The targets of a service, undefined if it does not exist. */
  async #targets(service: string, trace?: Trace): Promise<readonly Target[] | undefined> {
    const look = () => this.#srv.find(service, { fresh: trace !== undefined })
    const records = await traced({ clock: this.#parts.clock, trace }, `SRV ${service}`, look)
    if (records.length === 0) return undefined
    // A target that is the root means "decidedly not available" (RFC 2782).
    const targets = records.filter(({ name }) => name !== '' && name !== '.')
    if (targets.length === 0) throw new NotFound(`${service} says that there is no such service`)
    return targets.map(({ name, port, priority, weight }) => ({ host: name, port, priority, weight }))
  }

  #at(server: ServerAddress): Destination {
    return this.#destination(server, [{ host: server.host, port: server.port ?? FEDERATION_PORT }])
  }

  #destination(server: ServerAddress, targets: readonly Target[]): Destination {
    return { host: server.name, tlsName: this.#parts.plainHttp ? undefined : server.host, targets }
  }
}
