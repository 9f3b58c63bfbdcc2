import { type Tally as AnyTally, tallying } from '../lib/tally.ts'
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

export type Tally = AnyTally<Outcome>

const kinds = tallying<Outcome, ProblemKind>({
  moved: ['adopted', 'copied', 'shared'],
  looked: ['found', 'verified'],
  problems: ['missing', 'damaged', 'unreadable', 'other_content', 'deleted', 'not_imported', 'differs'],
})

export const { counted, problemsBy } = kinds

/** Media that are here since this import. */
export const importedIn = kinds.movedIn

/** Media that could not be taken. */
export const problemsIn = kinds.problemsIn
