import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Notifier } from '../coordination/notifier.ts'
import type { Datastores } from '../datastores/datastores.ts'
import type { Database } from '../db/connect.ts'
import type { Actor } from '../db/audit.ts'
import { addTask, type Task } from '../db/tasks.ts'
import { countedPage } from '../db/transfer.ts'
import { usageOf } from '../db/usage.ts'
import type { Clock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import type { EventParts } from '../lib/events.ts'
import { auditedWrite } from './audit.ts'

/** The task's name, as in MMR. */
export const TRANSFER = 'storage_migration'

/** What a transfer is to move. */
export interface TransferWish {
  readonly source: string
  readonly target: string
  /** Only what was not read since (ms since 1970), under any of its names; null: everything. */
  readonly before: number | null
}

/** How far a transfer is. A type, so that it counts as JSON. */
export type TransferProgress = {
  /** Objects and bytes that were in the source at the beginning. */
  readonly objects: number
  readonly bytes: number
  readonly moved: number
  readonly movedBytes: number
  /** Read too recently to be moved. */
  readonly skipped: number
  readonly failed: number
  /** The first of those that failed. */
  readonly failures: readonly TransferFailure[]
  /** Every object up to this location has had its turn. */
  readonly after: string
}

export type TransferFailure = { readonly sha256: string; readonly location: string; readonly error: string }

/** What a transfer would move: MMR's words and members. */
export interface TransferEstimate {
  readonly thumbnails_affected: number
  readonly thumbnail_hashes_affected: number
  readonly thumbnail_bytes: number
  readonly media_affected: number
  readonly media_hashes_affected: number
  readonly media_bytes: number
  readonly total_hashes_affected: number
  readonly total_bytes: number
}

type EstimateKey = keyof TransferEstimate

const PAGE = 500

/**
 * Counts what is in a datastore and was not read since `before` (ms since 1970; null: whatever is in it). Shared content counts
 * its bytes once. Goes through all its objects, page by page: for millions of them that takes minutes.
 */
export async function estimateTransfer(
  db: Pick<Database, 'read'>,
  { source, before }: Pick<TransferWish, 'source' | 'before'>,
  signal: AbortSignal,
): Promise<TransferEstimate> {
  const sums = noneAffected()
  for (let after = ''; ;) {
    signal.throwIfAborted()
    const page = await countedPage(db.read, { datastore: source, after, limit: PAGE, readSince: before })
    for (const object of page) {
      if (object.isRecent) continue
      add(sums, 'media', object.mediaNames, object.size)
      add(sums, 'thumbnail', object.thumbnailNames, object.size)
      sums.total_hashes_affected++
      sums.total_bytes += object.size
    }
    const last = page.at(-1)
    if (!last || page.length < PAGE) return sums
    after = last.location
    // SQLite answers on this thread: others get their turn between pages.
    await nextTurn()
  }
}

function noneAffected(): Record<EstimateKey, number> {
  return {
    thumbnails_affected: 0,
    thumbnail_hashes_affected: 0,
    thumbnail_bytes: 0,
    media_affected: 0,
    media_hashes_affected: 0,
    media_bytes: 0,
    total_hashes_affected: 0,
    total_bytes: 0,
  }
}

function add(sums: Record<EstimateKey, number>, what: 'media' | 'thumbnail', names: number, bytes: number): void {
  if (names === 0) return
  sums[what === 'media' ? 'media_affected' : 'thumbnails_affected'] += names
  sums[`${what}_hashes_affected`]++
  sums[`${what}_bytes`] += bytes
}

export interface TransferParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly datastores: Pick<Datastores, 'get'>
  readonly notifier: Pick<Notifier, 'notify'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/**
 * Writes a transfer down as a task and gives its number; some instance takes it up. One that is the same and has not ended is
 * that task.
 *
 * @throws {Refused} `bad_request` for datastores that are not configured, or the same one twice
 */
export async function beginTransfer(parts: TransferParts, actor: Actor, wish: TransferWish): Promise<number> {
  refuseImpossible(parts.datastores, wish)
  const { bytes, files } = await usageOf(parts.db.read, `datastore:${wish.source}`)
  const progress: TransferProgress = {
    objects: files,
    bytes,
    moved: 0,
    movedBytes: 0,
    skipped: 0,
    failed: 0,
    failures: [],
    after: '',
  }
  const now = parts.clock.now()
  const places = { source_datastore_id: wish.source, target_datastore_id: wish.target }
  // MMR has no word for "everything": its default is the time of the request. Files that are read after it move here too.
  const params = { ...places, before_ts: wish.before ?? now, everything: wish.before === null }
  const sameAs = wish.before === null ? { ...places, everything: true } : { ...places, before_ts: wish.before }
  const details = { target: wish.target, before: wish.before }
  const what = { action: 'datastore_transfer', subject: wish.source, details }
  const task = { name: TRANSFER, params, progress, startedAt: now, sameAs }
  const { id } = await auditedWrite(parts, actor, what, addTask, task, () => null)
  parts.notifier.notify('tasks', String(id))
  return id
}

/** The datastores have to be configured, and be two. Wordings: MMR's. */
export function refuseImpossible(datastores: Pick<Datastores, 'get'>, { source, target }: TransferWish): void {
  if (source === target) throw new Refused('bad_request', 'Source and target datastore cannot be the same')
  for (const [which, id] of [
    ['Source', source],
    ['Target', target],
  ] as const) {
    if (!datastores.get(id)) throw new Refused('bad_request', `${which} datastore ${id} is not configured`)
  }
}

/** What a task of this kind was asked for. */
export function wishOf({ params }: Pick<Task, 'params'>): TransferWish {
  const { source_datastore_id: source, target_datastore_id: target, before_ts: before, everything } = params
  if (typeof source !== 'string' || typeof target !== 'string') throw new Error('the task does not name two datastores')
  return { source, target, before: everything !== true && typeof before === 'number' ? before : null }
}
