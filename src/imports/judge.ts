import type { Database } from '../db/connect.ts'
import type { ImportProblem } from '../db/import-problems.ts'
import type { ImportedChange } from '../db/imports.ts'
import { findDeletedNames, findKnownNames, type KnownName } from '../db/known-names.ts'
import type { ImportedRecord, SourceRow } from './records.ts'
import type { Outcome } from './tally.ts'

/** A record whose bytes have to be brought here. */
export interface Todo {
  readonly record: ImportedRecord
  /** The name is here, and its bytes are lost. */
  readonly isHere: boolean
}

/** What is known of some rows before any file is touched. */
export interface Judged {
  readonly todo: readonly Todo[]
  /** Of all others. */
  readonly outcomes: readonly Outcome[]
  readonly problems: readonly ImportProblem[]
  readonly changes: readonly ImportedChange[]
}

/** Tells rows apart: those that are no files, those that are here, those that must not be, and those to be brought. */
export async function judge(
  { db }: { readonly db: Pick<Database, 'read'> },
  rows: readonly SourceRow[],
): Promise<Judged> {
  const records = rows.flatMap((row) => ('record' in row ? [row.record] : []))
  const known = byName(await findKnownNames(db.read, records))
  const deleted = byName(await findDeletedNames(db.read, records))
  const judged = rows.map((row): JudgedRow => {
    if ('passed' in row) return { outcome: row.passed, ...(row.problem ? { problem: row.problem } : {}) }
    const name = nameOf(row.record)
    const here = known.get(name)
    if (here) return judgeKnown(row.record, here)
    return deleted.has(name) ? refusal(row.record, 'deleted', '') : { todo: { record: row.record, isHere: false } }
  })
  return {
    todo: judged.map(({ todo }) => todo).filter((one) => one !== undefined),
    outcomes: judged.map(({ outcome }) => outcome).filter((one) => one !== undefined),
    problems: judged.map(({ problem }) => problem).filter((one) => one !== undefined),
    changes: judged.map(({ change }) => change).filter((one) => one !== undefined),
  }
}

interface JudgedRow {
  readonly todo?: Todo
  readonly outcome?: Outcome
  readonly problem?: ImportProblem
  readonly change?: ImportedChange | undefined
}

const nameOf = ({ origin, mediaId }: { readonly origin: string; readonly mediaId: string }) => `${origin}/${mediaId}`

const byName = <Name extends { readonly origin: string; readonly mediaId: string }>(names: readonly Name[]) =>
  new Map(names.map((name) => [nameOf(name), name]))

function refusal({ origin, mediaId }: ImportedRecord, kind: 'other_content' | 'deleted', details: string): JudgedRow {
  return { outcome: kind, problem: { origin, mediaId, problem: kind, details } }
}

function judgeKnown(record: ImportedRecord, here: KnownName): JudgedRow {
  const other = otherContent(record, here)
  if (other !== undefined) return refusal(record, 'other_content', other)
  if (here.isLost) return { todo: { record, isHere: true } }
  return { outcome: 'known', change: changeFor(record, here) }
}

/** Without a hash on the other side, the size has to do. */
function otherContent({ sha256, size }: ImportedRecord, here: KnownName): string | undefined {
  if (sha256 !== undefined && sha256 !== here.sha256) return `here ${here.sha256}, there ${sha256}`
  return size === here.size ? undefined : `here ${here.size} bytes, there ${size}`
}

/** What happened at the homeserver since; undefined: nothing that is not here as well. */
function changeFor(record: ImportedRecord, here: KnownName): ImportedChange | undefined {
  const { origin, mediaId } = record
  const quarantinedBy = here.isQuarantined || here.isProtected ? null : record.quarantinedBy
  const isProtected = record.isProtected && !here.isProtected
  const isLater = (record.accessedAt ?? -Infinity) > (here.accessedAt ?? -Infinity)
  const accessedAt = isLater ? record.accessedAt : null
  if (quarantinedBy === null && !isProtected && accessedAt === null) return undefined
  return { origin, mediaId, sha256: here.sha256, quarantinedBy, isProtected, accessedAt }
}
