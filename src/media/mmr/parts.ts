import type { Notifier } from '../../coordination/notifier.ts'
import type { Database } from '../../db/connect.ts'
import type { TakeOverStep } from '../../db/mmr/state.ts'
import type { MmrTables } from '../../db/mmr/tables.ts'
import { LeaseLost } from '../../db/with-lease.ts'
import type { Clock } from '../../lib/clock.ts'
import type { ReadingRules } from './records.ts'

export interface TakeOverParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'announce'>
  readonly clock: Clock
}

/** What a pass works with. */
export interface PassContext {
  readonly parts: TakeOverParts
  readonly tables: MmrTables
  readonly rules: ReadingRules
}

/** One stretch of a table. */
export interface Stretch {
  /** Its last row: where the next one begins. */
  readonly after: unknown
  /** How many rows of MMR's it is, for the progress. */
  readonly rows: number
  /**
   * Writes what follows from it, and `step` in the same transaction. Gives the contents of which something changed that was here before.
   * Throws `LeaseLost` when the pass is another's.
   */
  readonly write: (step: TakeOverStep | undefined) => Promise<readonly string[]>
}

/** Reads the next stretch of a table, `after` null: the first. Null: nothing is left. */
export type Phase = (context: PassContext, after: unknown) => Promise<Stretch | null>

/** Whoever has the lease now goes on. */
export const leaseLost = (): LeaseLost => new LeaseLost('another instance goes on with taking over from MMR')
