/** What a row of the table is. */
import type { Comparison } from './in-turn.ts'
import type { RecordDatabases } from './records/databases.ts'

export interface Setting {
  /** A folder on the disk to be measured. */
  readonly folder: string
  /** How long each single measurement lasts. */
  readonly seconds: number
  /** How often Cellarium and its reference take turns. */
  readonly rounds: number
  /** Databases with many records, filled once for all rows that want them. */
  readonly records: RecordDatabases
  /** Where the server leaves its CPU profiles, if anywhere. */
  readonly profiles?: string | undefined
}

export interface Row {
  /** What `--only` takes. */
  readonly name: string
  readonly title: string
  readonly unit: string
  /** What the ratio refers to, and its unit where it is another. */
  readonly reference?: string
  readonly aim?: Aim
  /** It takes so long, or needs so much, that it is only measured when `--only` asks for it. */
  readonly onlyWhenNamed?: true
  readonly measure: (setting: Setting) => Promise<Comparison>
}

export interface Aim {
  readonly text: string
  readonly isReached: (result: Comparison) => boolean
}

export const KIB = 1024
export const MIB = 1024 * KIB
/** Rates of bytes are given in millions a second, as network and disk makers do. */
export const MEGABYTE = 1e6

export function sizeName(bytes: number): string {
  return bytes < MIB ? `${bytes / KIB} KiB` : `${bytes / MIB} MiB`
}
