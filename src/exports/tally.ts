import { type Tally as AnyTally, tallying } from '../lib/tally.ts'
import type { Passed } from './records.ts'

/** What became of the media that were to go to a homeserver, each in one of these. */
export type Outcome =
  | 'linked'
  | 'copied'
  /** The file was there already, and no row: a run was broken off. */
  | 'completed'
  /** There already, with the same content. */
  | 'known'
  /** The row was there, and its file was gone: it is back. */
  | 'restored'
  /** A row without a file, so that nobody gets it there either. */
  | 'blocked'
  /** Found by a dry run: it would be taken there. */
  | 'found'
  /** Found by a check: it is there, whole, and as it is here. */
  | 'verified'
  | Passed
  | 'gone'
  | ProblemKind

export type ProblemKind =
  /** Our bytes are lost. */
  | 'lost'
  /** Bytes are not what the record says: ours, or, found by a check, those there. */
  | 'damaged'
  | 'unreadable'
  /** The homeserver cannot have it. */
  | 'refused'
  /** Other content is there under that name, and stays. */
  | 'other_content'
  /** A file that no row names is where it belongs, and stays. */
  | 'occupied'
  /** It was deleted here, and is still there. */
  | 'deleted'
  /** Found by a check: it is not there at all. */
  | 'not_exported'
  /** Found by a check: its row is there, and its file is not. */
  | 'missing'
  /** Found by a check: it is there, and less protected than here. */
  | 'differs'

export type Tally = AnyTally<Outcome>

const kinds = tallying<Outcome, ProblemKind>({
  moved: ['linked', 'copied', 'completed', 'restored'],
  looked: ['found', 'verified'],
  problems: [
    'lost',
    'damaged',
    'unreadable',
    'refused',
    'other_content',
    'occupied',
    'deleted',
    'not_exported',
    'missing',
    'differs',
  ],
})

export const { counted, problemsBy } = kinds

/** Media that are there since this export. */
export const exportedIn = kinds.movedIn

/** Media that are not as they should be. */
export const problemsIn = kinds.problemsIn
