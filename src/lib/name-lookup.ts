import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from './clock.ts'

export interface NameLookupParts {
  readonly clock: Clock
  /** DNS servers as `address` or `address:port`; those of the system if not given. */
  readonly servers?: readonly string[]
  /** The system's, if not given. */
  readonly hostsFile?: string
  /** How long one try at a DNS server may take, in ms. */
  readonly tryMs?: number
}

export interface SrvRecord {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

const TRY_MS = 2500
const TRIES = 2
/** How long the other address family is waited for when one has answered (RFC 8305 §3 asks for 50 ms; ours is kinder). */
const OTHER_FAMILY_MS = 200
const READ_HOSTS_EVERY_MS = 5000
/** resolv.conf may change, and is read only when a resolver is made. */
const NEW_RESOLVER_EVERY_MS = 60_000
const HOSTS_FILE = process.platform === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts'
/** What DNS servers say, or c-ares for them, when there is certainly nothing to be found. */
const NOTHING_THERE = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME', 'ENOTIMP', 'EFORMERR'])

/** A name could not be looked up. */
export class LookupFailed extends Error {
  override readonly name = 'LookupFailed'
  /** Whether asking again may help; if not, there is nothing by that name. */
  readonly temporary: boolean

  constructor(question: string, code: string, cause: unknown) {
    const temporary = !NOTHING_THERE.has(code)
    super(temporary ? `the DNS does not answer for ${question} (${code})` : `the DNS has nothing for ${question}`, {
      cause,
    })
    this.temporary = temporary
  }
}

/**
 * Looks names up: in the hosts file, else by DNS. Does not use the system's look-up, each of which keeps one of the four
 * threads busy that files are read with: a few dead domains would stop all downloads. What else the system may look into
 * (mDNS, NIS, search domains) is not looked into.
 */
export class NameLookup {
  readonly #parts: NameLookupParts
  #resolver: { readonly resolver: Resolver; readonly until: number } | undefined
  #hosts: { readonly names: Promise<ReadonlyMap<string, readonly string[]>>; readonly until: number } | undefined

  constructor(parts: NameLookupParts) {
    this.#parts = parts
  }

  /**
   * The IPv4 and IPv6 addresses of a host name, at least one. Aliases (CNAME) are followed.
   *
   * @throws {LookupFailed} when there are none, or nobody can tell
   */
  async addresses(name: string): Promise<readonly string[]> {
    const host = name.replace(/\.+$/, '').toLowerCase()
    const listed = (await this.#hostsFile()).get(host)
    if (listed) return listed
    // RFC 6761 §6.3: these never leave the machine.
    if (host === 'localhost' || host.endsWith('.localhost')) return ['127.0.0.1', '::1']
    return await this.#byDns(host)
  }

  /**
   * The SRV records of a service such as `_matrix-fed._tcp.example.org`, unsorted, at least one.
   *
   * @throws {LookupFailed} not temporary when there are none
   */
  async srv(service: string): Promise<readonly SrvRecord[]> {
    const records = await asked(`SRV ${service}`, this.#dns().resolveSrv(service))
    return records.map(({ name, port, priority, weight }) => ({ name, port, priority, weight }))
  }

  /** What the name is an alias of, or undefined. */
  async alias(name: string): Promise<string | undefined> {
    try {
      return (await asked(`CNAME ${name}`, this.#dns().resolveCname(name)))[0]
    } catch (error) {
      if (error instanceof LookupFailed && !error.temporary) return undefined
      throw error
    }
  }

  async #byDns(name: string): Promise<readonly string[]> {
    const dns = this.#dns()
    const families = [asked(`A ${name}`, dns.resolve4(name)), asked(`AAAA ${name}`, dns.resolve6(name))]
    try {
      const first = await Promise.any(families)
      const both = Promise.all(families.map((family) => family.catch(() => [])))
      const all = await Promise.race([both, pause(OTHER_FAMILY_MS, undefined, { ref: false })])
      return all?.flat() ?? first
    } catch (error) {
      const reasons: readonly unknown[] = error instanceof AggregateError ? error.errors : [error]
      throw reasons.find((reason) => reason instanceof LookupFailed && reason.temporary) ?? reasons[0]
    }
  }

  #dns(): Resolver {
    const now = this.#parts.clock.now()
    if (this.#resolver && now < this.#resolver.until) return this.#resolver.resolver
    const { servers, tryMs = TRY_MS } = this.#parts
    const resolver = new Resolver({ timeout: tryMs, tries: TRIES })
    if (servers) resolver.setServers(servers)
    this.#resolver = { resolver, until: now + NEW_RESOLVER_EVERY_MS }
    return resolver
  }

  async #hostsFile(): Promise<ReadonlyMap<string, readonly string[]>> {
    const now = this.#parts.clock.now()
    if (!this.#hosts || now >= this.#hosts.until) {
      const names = readHosts(this.#parts.hostsFile ?? HOSTS_FILE)
      this.#hosts = { names, until: now + READ_HOSTS_EVERY_MS }
    }
    return await this.#hosts.names
  }
}

async function asked<T>(question: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'EUNKNOWN'
    throw new LookupFailed(question, code, cause)
  }
}

/** hosts(5): an address and its names in each line. A machine without the file has no names of its own. */
async function readHosts(file: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const names = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [address, ...hosts] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (!address) continue
    for (const host of hosts) names.set(host.toLowerCase(), [...(names.get(host.toLowerCase()) ?? []), address])
  }
  return names
}
