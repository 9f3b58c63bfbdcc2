import PQueue from 'p-queue'
import { findKnownNames, type KnownName } from '../db/known-names.ts'
import { lastUsed } from '../lib/last-used.ts'
import { EMPTY } from '../lib/tally.ts'
import { type Verified, verify } from '../media/verify.ts'
import { judge } from './judge.ts'
import type { ImportedRecord, RecordSource } from './records.ts'
import { look, type LookingParts } from './rehearse.ts'
import { BATCH } from './run.ts'
import { counted, type ProblemKind, type Tally } from './tally.ts'

/** Contents whose bytes were read lately: copies lie near each other. */
const REMEMBERED = 10_000

/**
 * Compares everything that a homeserver has with what is here: name by name, and each content byte by byte, read from our own
 * datastores. Nothing is changed.
 */
export async function checkImport(parts: LookingParts, source: RecordSource): Promise<Tally> {
  const rows = await source.count()
  const queue = new PQueue({ concurrency: parts.workers })
  const read = lastUsed<Promise<Verified>>(REMEMBERED)
  let tally: Tally = EMPTY
  for (let after: string | undefined; ;) {
    parts.signal.throwIfAborted()
    const page = await source.page(after, BATCH)
    if (page.length === 0) return tally
    after = page.at(-1)?.at
    const records = page.flatMap((row) => ('record' in row ? [row.record] : []))
    for (const row of page) {
      if (!('passed' in row)) continue
      tally = counted(tally, row.passed)
      if (row.problem) parts.onProblem(row.problem)
    }
    const here = new Map((await findKnownNames(parts.db.read, records)).map((known) => [nameOf(known), known]))
    const missing = records.filter((record) => !here.has(nameOf(record)))
    const refused = new Set(
      (
        await judge(
          parts,
          missing.map((record) => ({ at: '', record })),
        )
      ).problems.map(nameOf),
    )
    const compared = await queue.addAll(
      records.map((record) => () => compare(parts, { record, known: here.get(nameOf(record)), refused, read })),
    )
    for (const { record, problem, details } of compared) {
      tally = counted(tally, problem ?? 'verified', record.size)
      if (problem) parts.onProblem({ origin: record.origin, mediaId: record.mediaId, problem, details })
    }
    parts.onProgress(tally, rows)
  }
}

const nameOf = ({ origin, mediaId }: { readonly origin: string; readonly mediaId: string }) => `${origin}/${mediaId}`

interface Compared {
  readonly record: ImportedRecord
  readonly problem: ProblemKind | undefined
  readonly details: string
}

interface Comparing {
  readonly record: ImportedRecord
  readonly known: KnownName | undefined
  /** Names that an import would not take. */
  readonly refused: ReadonlySet<string>
  readonly read: ReturnType<typeof lastUsed<Promise<Verified>>>
}

async function compare(parts: LookingParts, { record, known, refused, read }: Comparing): Promise<Compared> {
  const { datastores, signal } = parts
  const found = (problem: ProblemKind | undefined, details = '') => ({ record, problem, details })
  if (!known) return found(refused.has(nameOf(record)) ? 'deleted' : await whyNotHere(parts, record))
  const other = otherContent(record, known) ?? otherwise(record, known)
  if (other) return found(other.problem, other.details)
  const datastore = datastores.get(known.datastore)
  if (!datastore) return found('unreadable', `the datastore ${known.datastore} is not configured`)
  const verifying = read.get(known.sha256) ?? verify(datastore, known, signal)
  read.set(known.sha256, verifying)
  const verified = await verifying
  if (verified.state === 'intact') return found(undefined)
  if (verified.state === 'missing') return found('missing', `not in the datastore ${known.datastore}`)
  return found(verified.state, `the object ${verified.problem}`)
}

/** What the homeserver has lost itself is not to be had by another import. */
async function whyNotHere(parts: LookingParts, record: ImportedRecord): Promise<ProblemKind> {
  if (parts.sources.length === 0) return 'not_imported'
  return (await look(parts, record)).outcome === 'missing' ? 'missing_there' : 'not_imported'
}

function otherContent({ sha256, size }: ImportedRecord, known: KnownName) {
  if ((sha256 ?? known.sha256) === known.sha256 && size === known.size) return undefined
  const there = sha256 === undefined ? '' : `, SHA-256 ${sha256}`
  const details = `here ${known.size} bytes, SHA-256 ${known.sha256}; there ${size} bytes${there}`
  return { problem: 'other_content', details } as const
}

/** What must not be lost on the way. More may have been decided here since. */
function otherwise(record: ImportedRecord, known: KnownName) {
  const lost = [
    ...(record.quarantinedBy !== null && !known.isQuarantined ? ['quarantined there, not here'] : []),
    ...(record.isProtected && !known.isProtected ? ['protected there, not here'] : []),
    ...(record.authenticated && !known.isAuthenticated ? ['for authenticated callers only there, not here'] : []),
  ]
  return lost.length === 0 ? undefined : ({ problem: 'differs', details: lost.join(', ') } as const)
}
