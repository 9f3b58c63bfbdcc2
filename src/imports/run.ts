import PQueue from 'p-queue'
import type { Notifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { noteForeignPlaces } from '../db/foreign-places.ts'
import { forgetProblems } from '../db/import-problems.ts'
import { choreOf, commitImported, type ImportBatch, type ImportBatchResult } from '../db/imports.ts'
import type { OfferedObject } from '../db/objects.ts'
import { noteProgress, progressOf } from '../db/progress.ts'
import type { Clock } from '../lib/clock.ts'
import { DatabaseUnavailable, Refused } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { announceChanged } from '../media/records.ts'
import { type Judged, judge, type Todo } from './judge.ts'
import { type Moving, place, type PlaceParts } from './place.ts'
import type { ImportedRecord, RecordSource, SourceRow } from './records.ts'
import { EMPTY } from '../lib/tally.ts'
import { counted, type Outcome, type Tally } from './tally.ts'

export interface ImportParts extends PlaceParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'announce'>
  readonly clock: Clock
  readonly log: Log
  /** A name that nobody else has. */
  readonly newToken: () => string
  readonly signal: AbortSignal
  /** How many files are worked on at a time. */
  readonly workers: number
  /** Hears how far it is, after each batch. */
  readonly onProgress: (tally: Tally, rows: number) => void
}

/** How far an import is, as the database keeps it. */
interface Progress {
  readonly after?: string
  readonly tally: Tally
  readonly isDone: boolean
}

/** Rows of one batch: few enough that a killed run loses little, many enough that commits do not count. */
export const BATCH = 500
const BATCH_BYTES = 1024 ** 3
const ATTEMPTS = 3
/** Each has a file open. */
const LINKS_AT_ONCE = 128

/**
 * Imports what a homeserver has, batch by batch, each with how far that is in one transaction: a run that ends in whatever way is gone
 * on with by the next, and one after the last looks at all again for what is new. Names that are here stay as they are, except that
 * quarantine, protection and last use are brought up to date. Gives what the rows came to, those of broken-off runs included.
 *
 * @throws {Refused} where another run of the same import goes on at the same time
 */
export async function runImport(parts: ImportParts, source: RecordSource): Promise<Tally> {
  await noteForeign(parts)
  const { progress: begun, from } = await begin(parts, source)
  const rows = await source.count()
  let progress = begun
  let state = from
  while (!progress.isDone) {
    parts.signal.throwIfAborted()
    const page = someOf(await source.page(progress.after, BATCH))
    const isDone = page.length === 0
    const judged = await judge(parts, page)
    const done = await placeAll(parts, judged.todo)
    const tally = tallyOf(progress.tally, judged, done)
    progress = { ...progress, ...lastOf(page), tally, isDone }
    state = await commit(parts, source, { from: state, to: JSON.stringify(progress), judged, done })
    parts.onProgress(tally, rows)
  }
  return progress.tally
}

/** As many rows as have not too many bytes together: a run that is killed need not copy them again. */
function someOf(rows: readonly SourceRow[]): readonly SourceRow[] {
  let bytes = 0
  const end = rows.findIndex((row) => (bytes += 'record' in row ? row.record.size : 0) > BATCH_BYTES)
  return end < 0 ? rows : rows.slice(0, end + 1)
}

function lastOf(page: readonly SourceRow[]): Pick<Progress, 'after'> {
  const last = page.at(-1)
  return last ? { after: last.at } : {}
}

/** Goes on where a run was broken off; after one that was not, begins anew. */
async function begin(
  { db, clock }: ImportParts,
  { name }: RecordSource,
): Promise<{ readonly progress: Progress; readonly from: string }> {
  const chore = choreOf(name)
  const from = await progressOf(db.read, chore)
  const before = from === undefined ? undefined : (JSON.parse(from) as Progress)
  if (from !== undefined && before && !before.isDone) return { progress: before, from }
  const progress: Progress = { tally: EMPTY, isDone: false }
  const to = JSON.stringify(progress)
  if (!(await db.write(noteProgress, { chore, from, to, now: clock.now() }))) throw anotherRuns(name)
  while ((await db.write(forgetProblems, { source: name, limit: 1000 })) > 0);
  return { progress, from: to }
}

const anotherRuns = (name: string) =>
  new Refused('bad_request', `Another import of ${name} is running; this one ends, and the other goes on`)

/** Before anything is taken: no sweep may delete what the homeserver has beside it. */
async function noteForeign({ db, datastores, sources }: ImportParts): Promise<void> {
  for (const { id, uri } of datastores.all) {
    const prefixes = sources.flatMap((source) => source.foreignPrefixes?.(uri) ?? [])
    await db.write(noteForeignPlaces, { datastore: id, prefixes })
  }
}

interface Done extends Todo {
  readonly placed: Awaited<ReturnType<typeof place>>
}

async function placeAll(parts: ImportParts, todo: readonly Todo[]): Promise<readonly Done[]> {
  const { workers, sources } = parts
  // Links wait for the disk, and those that wait together wait once.
  const atOnce = sources.every(({ isLocal }) => isLocal) ? Math.max(workers, LINKS_AT_ONCE) : workers
  const looking = new PQueue({ concurrency: atOnce })
  const moving = limited(workers)
  const results = await Promise.allSettled(
    todo.map((one) =>
      looking.add(async () => {
        parts.signal.throwIfAborted()
        const placed = await place(parts, one.record, moving)
        // What was stopped on its way has no problem: the next run is to fetch it.
        if ('problem' in placed) parts.signal.throwIfAborted()
        return { ...one, placed }
      }),
    ),
  )
  const failed = results.find((result) => result.status === 'rejected')
  const done = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  if (!failed) return done
  await discard(parts, freshIn(done))
  throw failed.reason
}

function limited(concurrency: number): Moving {
  const queue = new PQueue({ concurrency })
  return (work) => queue.add(work)
}

const freshIn = (done: readonly Done[]) =>
  done.flatMap(({ placed }) => ('object' in placed && placed.object.fresh ? [placed.object] : []))

function tallyOf(before: Tally, { outcomes }: Judged, done: readonly Done[]): Tally {
  let tally = before
  for (const outcome of outcomes) tally = counted(tally, outcome)
  for (const { record, placed, isHere } of done) {
    const outcome: Outcome = 'object' in placed ? (isHere ? 'known' : placed.how) : placed.problem
    tally = counted(tally, outcome, record.size)
  }
  return tally
}

interface Committing {
  readonly from: string
  readonly to: string
  readonly judged: Judged
  readonly done: readonly Done[]
}

/** Gives what the database has as its progress now. */
async function commit(
  parts: ImportParts,
  source: RecordSource,
  { from, to, judged, done }: Committing,
): Promise<string> {
  let names: readonly Brought[] = done.flatMap(({ record, placed }) =>
    'object' in placed ? [{ ...record, object: placed.object }] : [],
  )
  const lost = done.flatMap(({ record, placed }) =>
    'object' in placed ? [] : [{ origin: record.origin, mediaId: record.mediaId, ...placed }],
  )
  const { clock, newToken } = parts
  const batch = { source: source.name, from, to, batch: `import ${newToken()}`, now: clock.now() }
  for (let attempt = 1; ; attempt++) {
    const args: ImportBatch = { ...batch, names, changes: judged.changes, problems: [...judged.problems, ...lost] }
    const result = await written(parts, args, freshIn(done))
    if (result.outcome === 'superseded') {
      await discard(parts, freshIn(done))
      throw anotherRuns(source.name)
    }
    if (result.outcome === 'stored') {
      await discard(parts, result.unused)
      for (const { object } of names) if (object.fresh) parts.datastoreSizes.added(object.datastore, object.size)
      if (result.quarantined.length > 0) await announceChanged(parts.notifier, result.quarantined)
      return to
    }
    if (attempt === ATTEMPTS) throw new Error('content that was found is deleted again and again; run the import again')
    names = await placeAgain(parts, names, new Set(result.sha256s))
  }
}

async function written(
  parts: ImportParts,
  args: ImportBatch,
  fresh: readonly OfferedObject[],
): Promise<ImportBatchResult> {
  try {
    return await parts.db.write(commitImported, args)
  } catch (error) {
    // One that may have been made after all leaves them to the sweep.
    if (!(error instanceof DatabaseUnavailable && error.mayCommit)) await discard(parts, fresh)
    throw error
  }
}

interface Brought extends ImportedRecord {
  readonly object: OfferedObject
}

/** Somebody deleted content between our look and the commit: its bytes are put now. */
async function placeAgain(
  parts: ImportParts,
  names: readonly Brought[],
  gone: ReadonlySet<string>,
): Promise<readonly Brought[]> {
  const moving = limited(parts.workers)
  const again = names.map(async (name) => {
    if (!gone.has(name.object.sha256)) return name
    const placed = await place(parts, name, moving)
    if ('object' in placed) return { ...name, object: placed.object }
    throw new Error(`the file of ${name.origin}/${name.mediaId} is gone since it was found; run the import again`)
  })
  return await Promise.all(again)
}

/** Deletes bytes that no record names. What cannot be deleted is found by the sweep. */
async function discard(
  { datastores, log }: ImportParts,
  objects: readonly { readonly datastore: string; readonly location: string }[],
): Promise<void> {
  for (const object of objects) {
    await datastores.delete(object).catch((error: unknown) => {
      const { datastore, location } = object
      log.warn({ err: error, datastore, location }, 'bytes are left that no record names; a sweep finds them')
    })
  }
}
