import type { Queryable } from '../../db/query.ts'
import { isSeen } from '../../db/mmr/gone.ts'
import { type MmrMedia, mmrMediaOf, mmrMediaOfContent, type MmrName } from '../../db/mmr/pages.ts'
import type { MmrTables } from '../../db/mmr/tables.ts'
import { lastUsed } from '../../lib/last-used.ts'
import { announceChanged } from '../records.ts'
import { copyRows } from './copy.ts'
import type { TakeOverParts } from './parts.ts'
import type { ReadingRules } from './records.ts'

export interface BringParts extends TakeOverParts {
  readonly db: TakeOverParts['db'] & { readonly read: Queryable }
  readonly schema: string
  /** Of the configuration of this moment. */
  readonly rules: () => ReadingRules
}

const KNOWN_AT_MOST = 20_000
const PAGE = 1000
const UNKNOWN_FOR_MS = 10_000

/** Brings records here that a request names before the pass has come to them, or that the last pass could not see. */
export class Bringing {
  readonly #parts: BringParts
  readonly #tables: MmrTables
  /** Names of which nothing is to be brought, and until when that is known, in ms since 1970. */
  readonly #known = lastUsed<number>(KNOWN_AT_MOST)

  constructor(parts: BringParts) {
    this.#parts = parts
    this.#tables = { db: parts.db.read, schema: parts.schema }
  }

  /** Resolves when MMR's record of this name, if it has one, is here, or was once; `withAllNames`: and those of all names of its content. */
  async bring(name: MmrName, { withAllNames }: { readonly withAllNames: boolean }): Promise<void> {
    const key = `${name.origin}/${name.mediaId}`
    const now = this.#parts.clock.now()
    if (!withAllNames && (this.#known.get(key) ?? 0) > now) return
    const row = await this.#rowToBring(name, withAllNames)
    if (row) await this.#copy(withAllNames ? await this.#namesOf(row) : [row])
    const isHere = row !== undefined || (await isSeen(this.#parts.db.read, name))
    // While one is replaced by the other, MMR may still work for a moment.
    this.#known.set(key, isHere ? Infinity : now + UNKNOWN_FOR_MS)
  }

  async #rowToBring(name: MmrName, evenIfSeen: boolean): Promise<MmrMedia | undefined> {
    if (!evenIfSeen && (await isSeen(this.#parts.db.read, name))) return undefined
    return await mmrMediaOf(this.#tables, name)
  }

  async #namesOf(row: MmrMedia): Promise<readonly MmrMedia[]> {
    return [row, ...(await mmrMediaOfContent(this.#tables, row.sha256, PAGE))]
  }

  async #copy(rows: readonly MmrMedia[]): Promise<void> {
    const changed = await copyRows(this.#parts, rows, this.#parts.rules())
    if (changed.length > 0) await announceChanged(this.#parts.notifier, changed)
  }
}
