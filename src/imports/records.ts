import type { ImportProblem } from '../db/import-problems.ts'
import type { ImportedName } from '../db/imports.ts'

/** A file of a homeserver, as its records have it. */
export interface ImportedRecord extends ImportedName {
  /** Bytes. */
  readonly size: number
  /** Lower-case hex; undefined: nobody has computed it. */
  readonly sha256: string | undefined
  /** Where it is below the homeserver's store, whether that is a folder or a bucket; undefined: nowhere that could be told. */
  readonly path: string | undefined
}

/** Why a row is passed over: its content never came, it is a picture of a preview, it is another homeserver's of ours, or no media at all. */
export type Passed = 'pending' | 'preview' | 'ours' | 'invalid'

/** `at` is where the row is: what comes behind it comes later. */
export type SourceRow = { readonly at: string } & (ReadRow | PassedRow)

export interface ReadRow {
  readonly record: ImportedRecord
}

export interface PassedRow {
  readonly passed: Passed
  /** What somebody might miss is listed. */
  readonly problem?: ImportProblem
}

/** A row that has no name under which anybody could ask for it here. */
export function invalidRow(origin: string, mediaId: string, details: string): PassedRow {
  const [server, id] = [origin, mediaId].map((text) => text.replaceAll('\0', '\uFFFD'))
  return { passed: 'invalid', problem: { origin: server ?? '', mediaId: id ?? '', problem: 'invalid', details } }
}

/** The records of another program, in an order that stays the same. */
export interface RecordSource {
  /** Which: `synapse example.org`. It names the import, and what is kept of it in the database. */
  readonly name: string
  /** How many rows there are, now. */
  count(): Promise<number>
  /** Up to `limit` rows behind `after` (undefined: from the beginning); none, where there are no more. */
  page(after: string | undefined, limit: number): Promise<readonly SourceRow[]>
}
