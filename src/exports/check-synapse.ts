import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { lastUsed } from '../lib/last-used.ts'
import { messagesOf } from '../lib/errors.ts'
import { originalPath } from '../interop/synapse/paths.ts'
import { type SynapseMedia, synapseNamed } from '../interop/synapse/rows.ts'
import { hashOf } from './media-folder.ts'
import type { OutgoingRecord, OutgoingSource } from './records.ts'
import { type SynapseStore, type Told, wrong } from './synapse-judge.ts'
import { synapseRowOf, whyRefused } from './synapse-rows.ts'
import { EMPTY } from '../lib/tally.ts'
import { counted, type Tally } from './tally.ts'
import { type ExportParts, inTurn } from './to-synapse.ts'

/** Files that were read lately: copies under other names are often links to one. */
const REMEMBERED = 10_000

/** Compares everything that is here with what a Synapse has: row by row, and each file byte by byte. Nothing is changed. */
export async function checkSynapse(parts: ExportParts, source: OutgoingSource): Promise<Tally> {
  const { store } = parts
  const rows = await source.count()
  const hashes = lastUsed<Promise<string>>(REMEMBERED)
  let tally: Tally = EMPTY
  for await (const page of source.pages()) {
    parts.signal.throwIfAborted()
    const records = page.flatMap((row) => ('record' in row ? [row.record] : []))
    for (const row of page) if ('passed' in row) tally = counted(tally, row.passed)
    const wanted = records.map((record) => synapseRowOf(record, store.serverName))
    const there = new Map(
      (await synapseNamed(store.db, store.target, wanted)).map((row) => [nameOf(row), row] as const),
    )
    const compared = await inTurn(parts, records, (record) =>
      compare({ store, hashes }, record, there.get(nameOf(synapseRowOf(record, store.serverName)))),
    )
    for (const { outcome, size, problem } of compared) {
      tally = counted(tally, outcome, size)
      if (problem) parts.onProblem(problem)
    }
    parts.onProgress(tally, rows)
  }
  return tally
}

const nameOf = ({ origin, mediaId }: SynapseMedia) => `${origin ?? ''}/${mediaId}`

interface Comparing {
  readonly store: SynapseStore
  /** By device and inode. */
  readonly hashes: ReturnType<typeof lastUsed<Promise<string>>>
}

async function compare(
  { store, hashes }: Comparing,
  record: OutgoingRecord,
  there: SynapseMedia | undefined,
): Promise<Told> {
  if (!there) {
    const why = whyRefused(synapseRowOf(record, store.serverName), store.db.engine)
    return why === undefined ? wrong(record, 'not_exported') : wrong(record, 'refused', why)
  }
  const differs = lessProtected(record, there)
  if (differs !== undefined) return wrong(record, 'differs', differs)
  // There only so that nobody gets it.
  if (!record.bytes) return { outcome: 'verified' }
  if (there.length !== record.size || isOther(there.sha256?.toLowerCase(), record)) {
    return wrong(record, 'other_content', `there ${there.length} bytes, SHA-256 ${there.sha256}`)
  }
  return await compareFile({ store, hashes }, record, there)
}

const isOther = (sha256: string | undefined, record: OutgoingRecord) =>
  sha256 !== undefined && record.sha256 !== '' && sha256 !== record.sha256

function lessProtected(record: OutgoingRecord, there: SynapseMedia): string | undefined {
  const lost = [
    ...(record.quarantinedBy !== null && there.quarantinedBy === null ? ['quarantined here, not there'] : []),
    ...(there.origin === null && record.isProtected && !there.isProtected ? ['protected here, not there'] : []),
    ...(record.authenticated && !there.authenticated ? ['for authenticated callers only here, not there'] : []),
  ]
  return lost.length === 0 ? undefined : lost.join(', ')
}

async function compareFile({ store, hashes }: Comparing, record: OutgoingRecord, there: SynapseMedia): Promise<Told> {
  const place = originalPath(there)
  try {
    const path = join(store.folder.path, place ?? '')
    const found = place === undefined ? undefined : await lstat(path).catch(unlessMissing)
    if (!found?.isFile()) {
      // Nobody gets it there anyway.
      const isFine = store.keepsElsewhere || record.quarantinedBy !== null
      return isFine ? { outcome: 'verified', size: record.size } : wrong(record, 'missing', path)
    }
    const key = `${found.dev}:${found.ino}`
    const hashing = hashes.get(key) ?? hashOf(path)
    hashes.set(key, hashing)
    const sha256 = await hashing
    if (!isOther(sha256, record)) return { outcome: 'verified', size: record.size }
    return wrong(record, 'damaged', `${path} has other bytes: their SHA-256 is ${sha256}`)
  } catch (error) {
    return wrong(record, 'unreadable', messagesOf(error).join(': '))
  }
}

function unlessMissing(error: unknown): undefined {
  if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
}
