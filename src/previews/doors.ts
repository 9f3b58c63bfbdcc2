import { networkRules } from '../lib/addresses.ts'
import type { Clock } from '../lib/clock.ts'
import { dial, type Dial } from '../lib/dial.ts'
import { addressRefused, type EventParts } from '../lib/events.ts'
import { NameLookup } from '../lib/name-lookup.ts'
import { Door } from '../lib/net.ts'
import { proxyVariable } from '../lib/proxies.ts'
import { urlPattern } from '../lib/url-patterns.ts'

/** The keys are those of `urlPreviews` in the configuration. */
export interface PreviewRules {
  /** Networks in CIDR notation; the configuration has checked them, and the patterns. */
  readonly allowedNetworks: readonly string[]
  readonly disallowedNetworks: readonly string[]
  readonly disallowedUrls: readonly string[]
  readonly previewUnsafeCertificates: boolean
}

export interface PreviewDoorsParts {
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly clock: Clock
  readonly random: () => number
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The network and the DNS, if not the real ones. */
  readonly dial?: Dial
  readonly lookup?: Pick<NameLookup, 'addresses'>
  /** PEM texts; the system's, if not given. */
  readonly authorities?: readonly string[]
}

/** The way into the web under one set of rules. */
export interface PreviewDoor {
  readonly door: Pick<Door, 'get'>
  /** The pattern in `urlPreviews.disallowedUrls` that forbids an address; undefined if none does. */
  patternAgainst(url: URL): string | undefined
}

interface OwnDoor extends PreviewDoor {
  readonly door: Door
}

/** Sites send more headers than Matrix servers: policies and cookies of 20 KiB are not rare. */
const HEADER_BYTES = 64 * 1024

/**
 * A guarded door (docs/decisions/021) for each set of rules that homeservers have: connections that one may use are never used
 * for another that may not. Homeservers with the same rules share one. Certificates are another matter than networks: with
 * `previewUnsafeCertificates` they are not checked, and every address still is.
 */
export class PreviewDoors implements AsyncDisposable {
  readonly #parts: PreviewDoorsParts
  readonly #lookup: Pick<NameLookup, 'addresses'>
  readonly #doors = new Map<string, OwnDoor>()

  constructor(parts: PreviewDoorsParts) {
    this.#parts = parts
    const hostsFile = parts.environment['CELLARIUM_HOSTS_FILE']
    this.#lookup = parts.lookup ?? new NameLookup({ clock: parts.clock, ...(hostsFile && { hostsFile }) })
    warnOfProxy(parts)
  }

  /** The door for these rules. */
  for(rules: PreviewRules): PreviewDoor {
    const key = keyOf(rules)
    const known = this.#doors.get(key)
    if (known) return known
    const door = this.#open(rules)
    this.#doors.set(key, door)
    return door
  }

  /** Follows changed options: closes the doors of rules that nobody has any more, once what is under way has ended. */
  configure(all: readonly PreviewRules[]): void {
    const kept = new Set(all.map(keyOf))
    for (const [key, { door }] of this.#doors) {
      if (kept.has(key)) continue
      this.#doors.delete(key)
      door.renew()
    }
  }

  /** Ends everything under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#doors.values()].map(({ door }) => door[Symbol.asyncDispose]()))
  }

  #open({ disallowedUrls, previewUnsafeCertificates, ...lists }: PreviewRules): OwnDoor {
    const { events, clock, random, authorities } = this.#parts
    const rules = networkRules({ section: 'urlPreviews', ...lists })
    const patterns = disallowedUrls.map((text) => ({ text, pattern: urlPattern(text) }))
    return {
      door: new Door({
        clock,
        random,
        lookup: this.#lookup,
        dial: this.#parts.dial ?? dial,
        rules: () => rules,
        anyCertificate: previewUnsafeCertificates,
        headerBytes: HEADER_BYTES,
        onRefused: (refusal) => addressRefused(events, refusal),
        ...(authorities && { authorities }),
      }),
      patternAgainst: (url) => patterns.find(({ pattern }) => pattern?.matches(url))?.text,
    }
  }
}

function keyOf(rules: PreviewRules): string {
  const { allowedNetworks, disallowedNetworks, disallowedUrls, previewUnsafeCertificates } = rules
  return JSON.stringify([allowedNetworks, disallowedNetworks, disallowedUrls, previewUnsafeCertificates])
}

function warnOfProxy({ environment, events: { log } }: PreviewDoorsParts): void {
  const proxy = proxyVariable(environment)
  if (proxy === undefined) return
  log.warn(
    { variable: proxy },
    `${proxy} is set, and not used for URL previews: behind a proxy, urlPreviews.disallowedNetworks could not be checked. Pages are fetched directly`,
  )
}
