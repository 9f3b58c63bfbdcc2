import { lastUsed } from '../lib/last-used.ts'
import type { Clock } from '../lib/clock.ts'
import { LookupFailed, type NameLookup, type SrvRecord } from '../lib/name-lookup.ts'

export interface SrvParts {
  readonly clock: Clock
  readonly lookup: Pick<NameLookup, 'srv'>
}

interface Kept {
  readonly records: readonly SrvRecord[]
  readonly freshUntil: number
  readonly usableUntil: number
}

/** Node does not tell how long DNS answers may be kept, and servers that move announce it with minutes. */
const FRESH_MS = 5 * 60_000
const USABLE_MS = 24 * 3_600_000
const MOST = 10_000

/** The SRV records of services, kept for a few minutes, and for a day while the DNS does not answer. */
export class SrvLookups {
  readonly #parts: SrvParts
  readonly #kept = lastUsed<Kept>(MOST)

  constructor(parts: SrvParts) {
    this.#parts = parts
  }

  /**
   * The records, in the same order however the DNS turns them; none if there is no such service. `fresh`: looked up now whatever is known.
   *
   * @throws {LookupFailed} when the DNS does not answer and nothing is known: there may be records, so that whoever went on
   * as if there were none would ask the wrong server
   */
  async find(service: string, { fresh = false } = {}): Promise<readonly SrvRecord[]> {
    const now = this.#parts.clock.now()
    const kept = this.#kept.get(service)
    if (kept && !fresh && now < kept.freshUntil) return kept.records
    try {
      const records = await this.#ask(service)
      this.#kept.set(service, { records, freshUntil: now + FRESH_MS, usableUntil: now + USABLE_MS })
      return records
    } catch (error) {
      if (kept && !fresh && now < kept.usableUntil) return kept.records
      throw error
    }
  }

  async #ask(service: string): Promise<readonly SrvRecord[]> {
    try {
      return (await this.#parts.lookup.srv(service)).toSorted(byPlace)
    } catch (error) {
      if (error instanceof LookupFailed && !error.temporary) return []
      throw error
    }
  }
}

function byPlace(one: SrvRecord, other: SrvRecord): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : one.port - other.port
}
