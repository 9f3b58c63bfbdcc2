import { hostRules, withoutPort } from './hosts.ts'
import type { WithoutEffect } from './keys.ts'
import type { DatastoreConfig, HomeserverConfig, MainConfig } from './schema.ts'

/** One state of the configuration: complete, checked, never changed. A reload makes another. */
export interface Snapshot {
  readonly main: MainConfig
  readonly homeservers: readonly HomeserverConfig[]
  /** Every datastore of every homeserver, each id once. */
  readonly datastores: readonly DatastoreConfig[]
  /** Unknown keys, keys of MMR 1.2, keys in the wrong file: one line each. */
  readonly warnings: readonly string[]
  /** Options that were set although nothing follows them yet. */
  readonly withoutEffect: readonly WithoutEffect[]
  /** The homeserver that a Host header names: exactly, else without regard to case, else the same without the port. */
  readonly forHost: (host: string) => HomeserverConfig | undefined
  /** Whether media of a server may be had, and whether it may have ours (`federation.ignoredHosts`, `onlyHosts`). */
  readonly isHostAllowed: (serverName: string) => boolean
}

/** A snapshot without its functions: what can be sent between threads. */
export type SnapshotData = Omit<Snapshot, 'forHost' | 'isHostAllowed'>

/** A deeply frozen snapshot with its tables of hosts. */
export function createSnapshot(parts: SnapshotData): Snapshot {
  const exact = new Map(parts.homeservers.map((homeserver) => [homeserver.name, homeserver]))
  // Server names are case-sensitive but Host headers are not; where two differ by case only, the lower-case one wins.
  const lower = new Map(parts.homeservers.map((homeserver) => [homeserver.name.toLowerCase(), homeserver]))
  const find = (host: string) => exact.get(host) ?? exact.get(host.toLowerCase()) ?? lower.get(host.toLowerCase())
  return deepFreeze({
    ...parts,
    forHost: (host: string) => find(host) ?? find(withoutPort(host)),
    isHostAllowed: hostRules(parts.main.federation, [...exact.keys()]),
  })
}

/** Freezes what is not frozen yet; homeservers share the sections that they do not change. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) deepFreeze(part)
  return value
}
