import { setTimeout as pause } from 'node:timers/promises'
import { networkRules, type NetworkLists } from '../lib/addresses.ts'
import type { Clock } from '../lib/clock.ts'
import { dial, type Dial } from '../lib/dial.ts'
import { addressRefused, type EventParts } from '../lib/events.ts'
import { NameLookup } from '../lib/name-lookup.ts'
import { Door } from '../lib/net.ts'
import { proxyVariable } from '../lib/proxies.ts'
import { Discovery } from './discovery.ts'
import { Origins } from './origins.ts'

/** The keys are those of `federation` in the configuration. */
export interface FederationOptions extends Omit<NetworkLists, 'section'> {
  readonly backoffAt: number
}

export interface FederationParts {
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly clock: Clock
  readonly random: () => number
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly options: FederationOptions
  /** The network and the DNS, if not the real ones. */
  readonly dial?: Dial
  readonly lookup?: Pick<NameLookup, 'addresses' | 'srv' | 'alias'>
  /** PEM texts; the system's, if not given. */
  readonly authorities?: readonly string[]
}

/** The way to other servers. Disposing it ends what is under way. */
export interface Federation extends AsyncDisposable {
  readonly door: Door
  readonly origins: Origins
  readonly lookup: Pick<NameLookup, 'alias'>
  /** MEDIA_REPO_HTTP_ONLY_FEDERATION, for tests: other servers, and where they send us, are asked without encryption. */
  readonly plainHttp: boolean
  /** Follows changed options; connections of before are not used again. */
  configure(options: FederationOptions): void
}

/** Opens the door to other servers, and says loudly which of its locks are off. */
export function openFederation(parts: FederationParts): Federation {
  const { clock, environment, events, random } = parts
  const { log } = events
  let { options } = parts
  let rules = networkRules({ section: 'federation', ...options })
  const anyCertificate = environment['MEDIA_REPO_UNSAFE_FEDERATION'] === 'true'
  const plainHttp = environment['MEDIA_REPO_HTTP_ONLY_FEDERATION'] === 'true'
  warnOfEnvironment(parts)

  const hostsFile = environment['CELLARIUM_HOSTS_FILE']
  const lookup = parts.lookup ?? new NameLookup({ clock, ...(hostsFile && { hostsFile }) })
  const door = new Door({
    clock,
    lookup,
    random,
    anyCertificate,
    dial: parts.dial ?? dial,
    rules: () => rules,
    onRefused: (refusal) => addressRefused(events, refusal),
    ...(parts.authorities && { authorities: parts.authorities }),
  })
  const discovery = new Discovery({ clock, door, lookup, random, plainHttp, pause })
  const origins = new Origins({ log, clock, door, discovery, backoffAt: () => options.backoffAt })
  return {
    door,
    origins,
    lookup,
    plainHttp,
    configure: (changed) => {
      options = changed
      rules = networkRules({ section: 'federation', ...changed })
      door.renew()
    },
    [Symbol.asyncDispose]: () => door[Symbol.asyncDispose](),
  }
}

function warnOfEnvironment({ environment, events: { log } }: FederationParts): void {
  if (environment['MEDIA_REPO_UNSAFE_FEDERATION'] === 'true') {
    log.warn('MEDIA_REPO_UNSAFE_FEDERATION: THE CERTIFICATES OF OTHER SERVERS ARE NOT CHECKED. This is for tests only')
  }
  if (environment['MEDIA_REPO_HTTP_ONLY_FEDERATION'] === 'true') {
    log.warn('MEDIA_REPO_HTTP_ONLY_FEDERATION: OTHER SERVERS ARE ASKED WITHOUT ENCRYPTION. This is for tests only')
  }
  const proxy = proxyVariable(environment)
  if (proxy !== undefined) {
    log.warn(
      { variable: proxy },
      `${proxy} is set, and not used for other servers: behind a proxy, federation.disallowedNetworks could not be checked. They are connected to directly`,
    )
  }
}
