import type { How, Placed } from './place.ts'
import type { Passed } from './records.ts'

/** What rows of a homeserver came to, each in one of these. */
export type Outcome =
  | How
  /** Here already, with the same content. */
  | 'known'
  /** Found by a dry run: it would be imported. */
  | 'found'
  /** Found by a check: it is here, whole, and as it is there. */
  | 'verified'
  | Passed
  | ProblemKind

export type ProblemKind =
  | Extract<Placed, { readonly problem: string }>['problem']
  /** Other content is here under that name, and stays. */
  | 'other_content'
  /** It was deleted here, and does not come back. */
  | 'deleted'
  /** Found by a check: it is not here, and the homeserver has lost it itself. */
  | 'missing_there'
  /** Found by a check: it is not here at all. */
  | 'not_imported'
  /** Found by a check: it is here, and another thing is said of it than there. */
  | 'differs'

export interface Tally {
  readonly rows: number
  /** Of media that are here since this import, would be, or were looked at. */
  readonly bytes: number
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>
}

export const EMPTY: Tally = { rows: 0, bytes: 0, outcomes: {} }

const WITH_BYTES: readonly Outcome[] = ['adopted', 'copied', 'shared', 'found', 'verified']

export const PROBLEMS: readonly ProblemKind[] = [
  'missing',
  'damaged',
  'unreadable',
  'other_content',
  'deleted',
  'not_imported',
  'differs',
]

/** One more row. */
export function counted({ rows, bytes, outcomes }: Tally, outcome: Outcome, size = 0): Tally {
  return {
    rows: rows + 1,
    bytes: bytes + (WITH_BYTES.includes(outcome) ? size : 0),
    outcomes: { ...outcomes, [outcome]: (outcomes[outcome] ?? 0) + 1 },
  }
}

export const sumOf = ({ outcomes }: Tally, some: readonly Outcome[]): number =>
  some.reduce((sum, outcome) => sum + (outcomes[outcome] ?? 0), 0)

/** Media that are here since this import. */
export const importedIn = (tally: Tally): number => sumOf(tally, ['adopted', 'copied', 'shared'])

/** Media that could not be taken. */
export const problemsIn = (tally: Tally): number => sumOf(tally, PROBLEMS)
