/** Which other servers an administrator wants nothing to do with. */
export interface HostLists {
  /** `federation.ignoredHosts`: none of these. */
  readonly ignoredHosts: readonly string[]
  /** `federation.onlyHosts`: if there are any, none but these. */
  readonly onlyHosts: readonly string[]
}

/**
 * Tells whether media of a server may be had, and whether it may have ours: one rule for both directions. `own` are the
 * homeservers that we serve; `onlyHosts` does not concern them. Case does not matter. An ignored host is ignored on every port
 * and with a dot at its end, since it is the same machine that would answer; an entry with a port means that one only. What is
 * in `onlyHosts` is meant as it stands.
 */
export function hostRules({ ignoredHosts, onlyHosts }: HostLists, own: readonly string[]): (name: string) => boolean {
  const ignored = new Set(ignoredHosts.map(plain))
  const only = new Set([...onlyHosts, ...own].map((name) => name.toLowerCase()))
  return (name) => {
    if (ignored.size > 0 && (ignored.has(plain(name)) || ignored.has(plain(withoutPort(name))))) return false
    return onlyHosts.length === 0 || only.has(name.toLowerCase())
  }
}

/** `example.org:8448` → `example.org`, `[::1]:8448` → `[::1]`. */
export function withoutPort(host: string): string {
  return host.replace(/:\d*$/, '')
}

/** Without what does not make another host of it: case, and the dot of a complete name. */
function plain(name: string): string {
  return name.toLowerCase().replace(/\.(?=:\d+$|$)/, '')
}
