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

export interface Tally {
  readonly rows: number
  /** Of media that are there since this export, would be, or were looked at. */
  readonly bytes: number
  readonly outcomes: Readonly<Partial<Record<Outcome, number>>>
}

export const EMPTY: Tally = { rows: 0, bytes: 0, outcomes: {} }

const MOVED: readonly Outcome[] = ['linked', 'copied', 'completed', 'restored']
const WITH_BYTES: readonly Outcome[] = [...MOVED, 'found', 'verified']

export const PROBLEMS: readonly ProblemKind[] = [
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
]

/** One more row. */
export function counted({ rows, bytes, outcomes }: Tally, outcome: Outcome, size = 0): Tally {
  return {
    rows: rows + 1,
    bytes: bytes + (WITH_BYTES.includes(outcome) ? size : 0),
    outcomes: { ...outcomes, [outcome]: (outcomes[outcome] ?? 0) + 1 },
  }
}

const sumOf = ({ outcomes }: Tally, some: readonly Outcome[]): number =>
  some.reduce((sum, outcome) => sum + (outcomes[outcome] ?? 0), 0)

/** Media that are there since this export. */
export const exportedIn = (tally: Tally): number => sumOf(tally, MOVED)

/** Media that are not as they should be. */
export const problemsIn = (tally: Tally): number => sumOf(tally, PROBLEMS)
