import { originalPath } from '../interop/synapse/paths.ts'
import { type SynapseMedia, synapseNamed } from '../interop/synapse/rows.ts'
import type { SynapseChange, SynapseTarget } from '../interop/synapse/write.ts'
import type { WritableDatabase } from '../interop/foreign-database.ts'
import type { ImportProblem } from '../db/import-problems.ts'
import type { MediaFolder } from './media-folder.ts'
import type { OutgoingBytes, OutgoingRecord } from './records.ts'
import { synapseRowOf, whyRefused } from './synapse-rows.ts'
import type { Outcome, ProblemKind } from './tally.ts'

/** A Synapse to be filled. */
export interface SynapseStore {
  readonly serverName: string
  readonly db: WritableDatabase
  readonly target: SynapseTarget
  readonly folder: MediaFolder
  /** It has files also in a bucket: then those that are not in its folder are there. */
  readonly keepsElsewhere: boolean
}

/** A media whose file has to be brought there. */
export interface Todo {
  readonly record: OutgoingRecord
  readonly bytes: OutgoingBytes
  /** The row to be made; or, where `isThere`, the one that has lost its file. */
  readonly row: SynapseMedia
  readonly isThere: boolean
}

/** What became of a media, or is to be said of it. */
export interface Told {
  readonly outcome: Outcome
  readonly size?: number
  readonly problem?: ImportProblem
}

export interface Judged {
  readonly todo: readonly Todo[]
  /** Rows without files. */
  readonly blocks: readonly SynapseMedia[]
  readonly changes: readonly SynapseChange[]
  /** Of all others than `todo`. */
  readonly told: readonly Told[]
}

interface JudgedOne {
  readonly todo?: Todo
  readonly block?: SynapseMedia
  readonly change?: SynapseChange | undefined
  readonly told?: Told
}

/** Tells records apart: those that Synapse has, those that it cannot have, those that it must not serve, and those to be brought. */
export async function judgeForSynapse(store: SynapseStore, records: readonly OutgoingRecord[]): Promise<Judged> {
  const wanted = records.map((record) => ({ record, row: synapseRowOf(record, store.serverName) }))
  const there = new Map(
    (await synapseNamed(store.db, store.target, rowsOf(wanted))).map((row) => [nameOf(row), row] as const),
  )
  const judged = await Promise.all(
    wanted.map(async ({ record, row }) => {
      const found = there.get(nameOf(row))
      return found ? await judgeThere(store, record, found) : judgeNew(store, record, row)
    }),
  )
  return {
    todo: judged.flatMap(({ todo }) => todo ?? []),
    blocks: judged.flatMap(({ block }) => block ?? []),
    changes: judged.flatMap(({ change }) => change ?? []),
    told: judged.flatMap(({ told }) => told ?? []),
  }
}

const rowsOf = (wanted: readonly { readonly row: SynapseMedia }[]) => wanted.map(({ row }) => row)

const nameOf = ({ origin, mediaId }: SynapseMedia) => `${origin ?? ''}/${mediaId}`

/** What is to be told of a media that is not as it should be. */
export function wrong({ origin, mediaId }: OutgoingRecord, problem: ProblemKind, details = ''): Told {
  return { outcome: problem, problem: { origin, mediaId, problem, details } }
}

function judgeNew({ db }: SynapseStore, record: OutgoingRecord, row: SynapseMedia): JudgedOne {
  const refused = whyRefused(row, db.engine)
  if (refused !== undefined) return { told: wrong(record, 'refused', refused) }
  if (record.bytes) return { todo: { record, bytes: record.bytes, row, isThere: false } }
  return { block: row, told: { outcome: 'blocked' } }
}

async function judgeThere(store: SynapseStore, record: OutgoingRecord, there: SynapseMedia): Promise<JudgedOne> {
  const change = changeFor(record, there)
  // What nobody may have is blocked under its name, whatever Synapse has there.
  const other = record.bytes && otherContent(record, there)
  if (other !== undefined) return { change: onlyQuarantine(change), told: wrong(record, 'other_content', other) }
  const place = originalPath(there)
  const isMissing =
    record.bytes && place !== undefined && !store.keepsElsewhere && (await store.folder.sizeOf(place)) === undefined
  if (!isMissing || !record.bytes) return { change, told: { outcome: 'known' } }
  return { change, todo: { record, bytes: record.bytes, row: there, isThere: true } }
}

/** Without a hash on the other side, the size has to do. */
function otherContent({ sha256, size }: OutgoingRecord, there: SynapseMedia): string | undefined {
  if (there.isPreview) return 'a picture of a URL preview is there'
  if (there.length === null) return 'the id is reserved there, and nothing was uploaded to it'
  if (there.sha256 !== null && sha256 !== '' && there.sha256.toLowerCase() !== sha256) {
    return `here ${sha256}, there ${there.sha256}`
  }
  return there.length === size ? undefined : `here ${size} bytes, there ${there.length}`
}

/** What was decided here since; undefined: nothing that is not there as well. */
function changeFor(record: OutgoingRecord, there: SynapseMedia): SynapseChange | undefined {
  const quarantinedBy = there.quarantinedBy === null && record.quarantinedBy !== null ? record.quarantinedBy : null
  const isProtected = there.origin === null && record.isProtected && !there.isProtected
  const isLater = (record.accessedAt ?? -Infinity) > (there.lastAccessAt ?? -Infinity)
  const lastAccessAt = isLater ? record.accessedAt : null
  if (quarantinedBy === null && !isProtected && lastAccessAt === null) return undefined
  return { origin: there.origin, mediaId: there.mediaId, quarantinedBy, isProtected, lastAccessAt }
}

const onlyQuarantine = (change: SynapseChange | undefined): SynapseChange | undefined =>
  change && change.quarantinedBy !== null ? { ...change, isProtected: false, lastAccessAt: null } : undefined
