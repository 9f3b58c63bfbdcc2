import type { Lease } from '../../db/leases.ts'
import { forgetProblems } from '../../db/mmr/report.ts'
import { endPass } from '../../db/mmr/state.ts'
import type { MmrTables } from '../../db/mmr/tables.ts'
import { announceChanged } from '../records.ts'
import { copyMedia, copyQuarantined, copyReservations, copyThumbnails, copyTombstones, keepExports } from './copy.ts'
import { findDeleted, findMoved } from './differences.ts'
import { leaseLost, type PassContext, type Phase, type Stretch, type TakeOverParts } from './parts.ts'
import type { ReadingRules } from './records.ts'

/** How far a pass through MMR's tables is. A type, so that it counts as JSON. */
export type PassProgress = {
  /** Which table it is at, by its place in `PHASES`. */
  readonly phase: number
  /** The last row that was looked at; null: none yet. */
  readonly after: unknown
  /** Rows of this pass, of all tables. */
  readonly rows: number
  /** How many there were at its beginning, about. */
  readonly of: number
}

/** What must hold before anything is served comes first. Sources that were deleted take their thumbnails along; places come last. */
export const PHASES: readonly { readonly what: string; readonly read: Phase }[] = [
  { what: 'quarantined media', read: copyQuarantined },
  { what: 'deleted ids', read: copyTombstones },
  { what: 'reserved ids', read: copyReservations },
  { what: 'media', read: copyMedia },
  { what: 'thumbnails', read: copyThumbnails },
  { what: 'exports', read: keepExports },
  { what: 'what was deleted', read: findDeleted },
  { what: 'what was moved', read: findMoved },
]

/** Those that are done before requests are answered: they are short. */
const URGENT = 3

/** Copies what must not be served for a moment as if it were otherwise: quarantines, ids that are taken. Whoever else does so as well does no harm. */
export async function copyUrgent(parts: TakeOverParts, tables: MmrTables, rules: ReadingRules): Promise<void> {
  const context = { parts, tables, rules }
  for (const { read } of PHASES.slice(0, URGENT)) {
    for (let stretch = await read(context, null); stretch; stretch = await read(context, stretch.after)) {
      await tell(parts, await stretch.write(undefined))
    }
  }
}

export interface PassOptions {
  readonly lease: Lease
  readonly signal: AbortSignal
  /** Where a pass is that was broken off; undefined: at the beginning. */
  readonly from: PassProgress | undefined
  /** How many rows there are, about. */
  readonly of: number
  readonly onProgress: (progress: PassProgress) => Promise<void> | void
}

/**
 * Goes through MMR's tables once: brings here what is new, and changes here what MMR changed since it was last looked at. What is written
 * and how far it is go in one transaction, so that it can end anywhere, and goes on there.
 *
 * @throws {LeaseLost} when another goes on with it
 * @throws {Refused} `bad_request` when MMR seems to have lost its records
 */
export async function runPass(
  parts: TakeOverParts,
  tables: MmrTables,
  rules: ReadingRules,
  { lease, signal, from, of, onProgress }: PassOptions,
): Promise<void> {
  const context = { parts, tables, rules }
  let progress: PassProgress = from ?? { phase: 0, after: null, rows: 0, of }
  if (!from) await parts.db.write(forgetProblems, ['no datastore', 'no hash'])
  for (let at = PHASES[progress.phase]; at; at = PHASES[progress.phase]) {
    for await (const stretch of readAhead(at.read, context, progress.after)) {
      signal.throwIfAborted()
      progress = { ...progress, after: stretch.after, rows: progress.rows + stretch.rows }
      await tell(parts, await stretch.write({ lease, progress: JSON.stringify(progress) }))
      await onProgress(progress)
    }
    signal.throwIfAborted()
    progress = { ...progress, phase: progress.phase + 1, after: null }
    await onProgress(progress)
  }
  if (!(await parts.db.write(endPass, { lease, now: parts.clock.now() }))) throw leaseLost()
}

/** The stretches of a table, the next one read while one is written. */
async function* readAhead(read: Phase, context: PassContext, from: unknown): AsyncGenerator<Stretch> {
  let next = read(context, from)
  try {
    for (let stretch = await next; stretch; stretch = await next) {
      next = read(context, stretch.after)
      // Where writing ends in an error, nobody waits for this one.
      next.catch(() => {})
      yield stretch
    }
  } finally {
    await next.catch(() => {})
  }
}

async function tell({ notifier }: TakeOverParts, changed: readonly string[]): Promise<void> {
  if (changed.length > 0) await announceChanged(notifier, changed)
}
