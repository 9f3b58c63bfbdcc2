import PQueue from 'p-queue'
import type { ImportProblem } from '../db/import-problems.ts'
import type { MediaName } from '../db/quarantine-changes.ts'
import { originalPath } from '../interop/synapse/paths.ts'
import { type SynapseMedia, synapseNamed } from '../interop/synapse/rows.ts'
import { changeSynapseMedia, insertSynapseMedia, insertSynapseThumbnails } from '../interop/synapse/write.ts'
import type { SynapseThumbnail } from '../interop/synapse/write.ts'
import type { Put } from './media-folder.ts'
import type { OutgoingRow, OutgoingSource } from './records.ts'
import { judgeForSynapse, type Judged, type SynapseStore, type Todo, type Told, wrong } from './synapse-judge.ts'
import { thumbnailsOf } from './synapse-rows.ts'
import { EMPTY } from '../lib/tally.ts'
import { counted, type Outcome, type Tally } from './tally.ts'

export interface ExportParts {
  readonly store: SynapseStore
  /** How many files are worked on at a time. */
  readonly workers: number
  readonly signal: AbortSignal
  /** Makes a media's thumbnails in Synapse's folder, and gives all that it is to have. Absent: Synapse makes them when they are asked for. */
  readonly makeThumbnails?: ((row: SynapseMedia) => Promise<readonly SynapseThumbnail[]>) | undefined
  /** Hears how far it is, after each batch. */
  readonly onProgress: (tally: Tally, rows: number) => void
  readonly onProblem: (problem: ImportProblem) => void
  /** Hears what became of each media that was brought there, or could not be. */
  readonly onMedia?: (name: MediaName, outcome: Outcome) => void
}

/**
 * Puts what there is into a Synapse, batch by batch: files first, then their rows as one transaction. A run that ends in whatever way leaves
 * at most files that no row names yet, which the next one finds. Rows that are there stay as they are, except that quarantine,
 * protection and last use are brought up to date.
 */
export async function exportToSynapse(parts: ExportParts, source: OutgoingSource): Promise<Tally> {
  const rows = await source.count()
  let tally: Tally = EMPTY
  for await (const page of source.pages()) {
    parts.signal.throwIfAborted()
    tally = await exportPage(parts, page, tally)
    parts.onProgress(tally, rows)
  }
  return tally
}

/** What an export would do, as far as can be told without reading files: nothing is changed. */
export async function rehearseExport(parts: ExportParts, source: OutgoingSource): Promise<Tally> {
  const rows = await source.count()
  let tally: Tally = EMPTY
  for await (const page of source.pages()) {
    parts.signal.throwIfAborted()
    const { todo, told } = await judgePage(parts.store, page)
    const looked = await inTurn(parts, todo, async ({ record, bytes }): Promise<Told> => {
      const size = await bytes.size()
      if (size === undefined) return wrong(record, 'lost')
      return size === record.size ? { outcome: 'found', size } : wrong(record, 'damaged', `${size} bytes`)
    })
    tally = tell(parts, tally, [...told, ...looked])
    parts.onProgress(tally, rows)
  }
  return tally
}

/** One batch, from what is to be said of it to the commit. */
export async function exportPage(parts: ExportParts, page: readonly OutgoingRow[], tally: Tally): Promise<Tally> {
  const judged = await judgePage(parts.store, page)
  const done = await inTurn(parts, judged.todo, async (todo) => ({ todo, put: await put(parts, todo) }))
  const committed = await commit(parts, judged, done)
  for (const [index, { outcome }] of committed.entries()) {
    const record = done[index]?.todo.record
    if (record) parts.onMedia?.(record, outcome)
  }
  return tell(parts, tally, [...judged.told, ...committed])
}

async function judgePage(store: SynapseStore, page: readonly OutgoingRow[]): Promise<Judged> {
  const records = page.flatMap((row) => ('record' in row ? [row.record] : []))
  const judged = await judgeForSynapse(store, records)
  const passed = page.flatMap((row): Told[] => ('passed' in row ? [{ outcome: row.passed }] : []))
  return { ...judged, told: [...judged.told, ...passed, ...(await judgeDeleted(store, page))] }
}

/** What was deleted here is not deleted there: that is for whoever decides it. */
async function judgeDeleted({ db, target, serverName }: SynapseStore, page: readonly OutgoingRow[]): Promise<Told[]> {
  const deleted = page.flatMap((row) => ('deleted' in row ? [row.deleted] : []))
  const names = deleted.map(({ origin, mediaId }) => ({ origin: origin === serverName ? null : origin, mediaId }))
  const there = new Set(
    (await synapseNamed(db, target, names)).map((row) => `${row.origin ?? serverName}/${row.mediaId}`),
  )
  return deleted.map(({ origin, mediaId }): Told => {
    if (!there.has(`${origin}/${mediaId}`)) return { outcome: 'gone' }
    return { outcome: 'deleted', problem: { origin, mediaId, problem: 'deleted', details: '' } }
  })
}

interface Brought {
  readonly put: Put
  readonly thumbnails: readonly SynapseThumbnail[]
}

async function put({ store, makeThumbnails }: ExportParts, { record, bytes, row, isThere }: Todo): Promise<Brought> {
  const place = originalPath(row)
  if (place === undefined) throw new Error(`${row.mediaId} has no place`)
  const done = await store.folder.put(place, record, bytes)
  if (isThere || 'problem' in done) return { put: done, thumbnails: [] }
  return { put: done, thumbnails: (await makeThumbnails?.(row)) ?? thumbnailsOf(row) }
}

interface Done {
  readonly todo: Todo
  readonly put: Brought
}

/** Rows after files: what Synapse knows of, it has. Gives what came of each of `done`, in their order. */
async function commit({ store }: ExportParts, judged: Judged, done: readonly Done[]): Promise<Told[]> {
  const { db, target, folder } = store
  const isNew = done.filter(({ todo, put }) => !todo.isThere && 'how' in put.put)
  // Nobody may have it: then it does not matter that its bytes are gone.
  const blocks = done.filter(({ todo, put }) => isBlockable(todo, put.put)).map(({ todo }) => todo.row)
  const rows = [...isNew.map(({ todo }) => todo.row), ...judged.blocks, ...blocks]
  if (rows.length === 0 && judged.changes.length === 0) return done.map(toldOf)
  const inserted = await db.transaction(async (query) => {
    const made = new Set(await insertSynapseMedia(query, target, rows))
    for (const { todo, put } of isNew) {
      if (made.has(todo.row)) await insertSynapseThumbnails(query, todo.row, put.thumbnails)
    }
    await changeSynapseMedia(query, target, judged.changes)
    return made
  })
  for (const { todo, put } of isNew) {
    // Synapse has fetched it itself meanwhile, to another place.
    const isNameless = !inserted.has(todo.row) && todo.row.origin !== null && 'how' in put.put
    if (isNameless) await folder.delete(originalPath(todo.row) ?? '')
  }
  return done.map(toldOf)
}

const isBlockable = ({ record, isThere }: Todo, put: Put) =>
  'problem' in put && !isThere && record.quarantinedBy !== null && put.problem !== 'occupied'

function toldOf({ todo, put: { put } }: Done): Told {
  const { record, isThere } = todo
  if (isBlockable(todo, put)) return { outcome: 'blocked' }
  if ('problem' in put) return wrong(record, put.problem, put.details)
  return { outcome: isThere ? 'restored' : put.how, size: record.size }
}

function tell({ onProblem }: ExportParts, tally: Tally, told: readonly Told[]): Tally {
  let sum = tally
  for (const { outcome, size, problem } of told) {
    sum = counted(sum, outcome, size)
    if (problem) onProblem(problem)
  }
  return sum
}

/** Works on all, so many at a time; the first failure ends it once the others under way have ended. */
export async function inTurn<One, Result>(
  { workers, signal }: Pick<ExportParts, 'workers' | 'signal'>,
  all: readonly One[],
  work: (one: One) => Promise<Result>,
): Promise<Result[]> {
  const queue = new PQueue({ concurrency: workers })
  const results = await Promise.allSettled(
    all.map((one) =>
      queue.add(async () => {
        signal.throwIfAborted()
        return await work(one)
      }),
    ),
  )
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
}
