import type { Datastores } from '../../datastores/datastores.ts'
import { findMedia, type MediaRecord } from '../../db/media.ts'
import { isSeen, otherPlaces, usePlace } from '../../db/mmr/gone.ts'
import { mmrMediaPage, type MmrName } from '../../db/mmr/pages.ts'
import { forgetProblems, type NotedProblem, noteProblems } from '../../db/mmr/report.ts'
import type { MmrTables } from '../../db/mmr/tables.ts'
import { MMR_FLAGS, type TakenMedia } from '../../db/mmr/taken.ts'
import { isDeleted } from '../../db/moderation.ts'
import { announceChanged } from '../records.ts'
import { otherSize } from '../verify.ts'
import type { TakeOverParts } from './parts.ts'
import { readMedia, type ReadingRules } from './records.ts'

export interface VerifyParts extends TakeOverParts {
  readonly datastores: Pick<Datastores, 'get'>
}

export interface VerifyOptions {
  readonly signal: AbortSignal
  /** After each page: how many rows were looked at. */
  readonly onProgress: (rows: number) => void
}

export interface Verified {
  readonly rows: number
  /** Rows that are here as MMR has them, with their bytes in place. */
  readonly right: number
  /** Copies of thumbnails, which are not brought here. */
  readonly thumbnailCopies: number
  /** Deleted here since. */
  readonly deletedHere: number
  readonly lost: number
  readonly differs: number
  /** Not brought here: no datastore, no hash. */
  readonly unusable: number
  /** Contents that were not where our record said, and are at another place of MMR's: it says so now. */
  readonly foundElsewhere: number
}

const PAGE = 500
const AT_ONCE = 8

type Outcome = 'right' | 'thumbnailCopies' | 'deletedHere' | 'lost' | 'differs' | 'unusable'

/**
 * Compares each of MMR's records with ours, and looks whether its bytes are there, in the right size (`datastores check` reads them).
 * What is wrong is noted for the report; bytes that are at another of MMR's places are taken from there.
 */
export async function verifyTakeOver(
  parts: VerifyParts,
  tables: MmrTables,
  rules: ReadingRules,
  { signal, onProgress }: VerifyOptions,
): Promise<Verified> {
  await parts.db.write(forgetProblems, ['lost', 'differs'])
  const counts = { right: 0, thumbnailCopies: 0, deletedHere: 0, lost: 0, differs: 0, unusable: 0 }
  let rows = 0
  let foundElsewhere = 0
  for (let after: MmrName | null = null; ;) {
    signal.throwIfAborted()
    const page = await mmrMediaPage(tables, { after, limit: PAGE })
    const last = page.at(-1)
    if (!last) return { rows, ...counts, foundElsewhere }
    const problems: NotedProblem[] = []
    const look = async (read: ReturnType<typeof readMedia>) => {
      const { outcome, problem, moved = false } = await verifyOne(parts, read)
      counts[outcome]++
      if (moved) foundElsewhere++
      if (problem) problems.push(problem)
    }
    const waiting = page.map((row) => readMedia(row, rules))
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let read = waiting.pop(); read; read = waiting.pop()) await look(read)
      }),
    )
    await parts.db.write(noteProblems, problems)
    rows += page.length
    onProgress(rows)
    after = { origin: last.origin, mediaId: last.mediaId }
  }
}

interface Looked {
  readonly outcome: Outcome
  readonly problem?: NotedProblem
  readonly moved?: boolean
}

async function verifyOne(parts: VerifyParts, read: ReturnType<typeof readMedia>): Promise<Looked> {
  if ('problem' in read) return { outcome: 'unusable', problem: read.problem }
  const { taken } = read
  if ((taken.flags & MMR_FLAGS.thumbnail) !== 0) return { outcome: 'thumbnailCopies' }
  const { origin, mediaId } = taken
  const record = await findMedia(parts.db.read, origin, mediaId)
  const named = (problem: 'lost' | 'differs', detail: string) => ({ problem, origin, mediaId, detail })
  if (!record) {
    const wasHere = (await isSeen(parts.db.read, taken)) || (await isDeleted(parts.db.read, taken))
    return wasHere ? { outcome: 'deletedHere' } : { outcome: 'differs', problem: named('differs', 'it is not here') }
  }
  const difference = differenceOf(record, taken)
  if (difference !== '') return { outcome: 'differs', problem: named('differs', difference) }
  const { problem, moved } = await bytesOf(parts, record)
  if (problem === '') return { outcome: 'right', moved }
  return { outcome: 'lost', problem: named('lost', problem) }
}

/** What was decided here since (quarantined, released, protected) is no difference; nor is a name that came here otherwise. */
function differenceOf(record: MediaRecord, taken: TakenMedia): string {
  const members = ['sha256', 'contentType', 'uploadName', 'kind', 'uploader', 'createdAt'] as const
  const wrong = members.filter((member) => record[member] !== taken[member])
  const open = (taken.flags & MMR_FLAGS.restricted) !== 0 && record.authenticatedAt === null ? ['authenticatedAt'] : []
  const released = (taken.flags & MMR_FLAGS.quarantined) !== 0 && record.quarantinedAt === null ? ['quarantinedAt'] : []
  return [...wrong, ...open, ...released].join(', ')
}

/** What is wrong with the bytes of a record; empty: nothing, now. */
async function bytesOf(parts: VerifyParts, record: MediaRecord): Promise<{ problem: string; moved: boolean }> {
  const problem = await wrongAt(parts, record, record.size)
  if (problem === '') return { problem, moved: false }
  const { sha256, location: from, size } = record
  for (const to of await otherPlaces(parts.db.read, { sha256, location: from, limit: 10 })) {
    if ((await wrongAt(parts, to, size)) !== '') continue
    const moved = await parts.db.write(usePlace, { sha256, from, to })
    await announceChanged(parts.notifier, [sha256])
    return { problem: '', moved }
  }
  return { problem, moved: false }
}

async function wrongAt(
  { datastores }: VerifyParts,
  { datastore: id, location }: { readonly datastore: string; readonly location: string },
  size: number,
): Promise<string> {
  const datastore = datastores.get(id)
  if (!datastore) return `the datastore ${id} is not configured`
  const found = await datastore.sizeOf(location)
  if (found === size) return ''
  return found === undefined
    ? `nothing is at ${location} in ${id}`
    : `what is at ${location} in ${id} ${otherSize(found, size)}`
}
