import type { Notifier } from '../coordination/notifier.ts'
import type { Actor } from '../db/audit.ts'
import type { Name } from '../db/deletion.ts'
import { addTask, type Task } from '../db/tasks.ts'
import { manyModerated } from '../lib/administration-events.ts'
import { formatMxc } from '../matrix/ids.ts'
import { audited } from './audit.ts'
import { refuseWhileCopying } from './mmr/incomplete.ts'
import { BulkRun, type BulkParts, type BulkProgress, type BulkWish } from './bulk.ts'

export interface BulkRequestParts extends BulkParts {
  readonly notifier: Pick<Notifier, 'announce' | 'notify'>
}

/** Who asks for it, and what it is called in the audit log. */
export interface BulkAsker {
  readonly actor: Actor
  /** The action and what it is about, as in the audit log. */
  readonly action: string
  readonly subject: string
}

export interface BulkOutcome {
  readonly progress: BulkProgress
  /** The first of the names that were deleted, as MXC URIs. */
  readonly affected: readonly string[]
  /** What does the rest; null: all is done. */
  readonly taskId: number | null
}

/** The names of the tasks that go on with it. */
export const BULK_TASKS = {
  purge: 'purge_media',
  quarantine: 'quarantine_media',
  release: 'release_media',
} as const satisfies Readonly<Record<BulkWish['verb'], string>>

/** Less than the minute that reverse proxies wait for an answer. */
const LONGEST_MS = 20_000
const AFFECTED_AT_MOST = 10_000

/**
 * Does as much as it can while its caller waits: for `forMs`, 20 s if not given, or until the signal aborts. The rest becomes a
 * task. So what is small needs no task, and nothing that was asked for depends on a connection that lasts.
 *
 * @throws {Refused} `storage_unavailable` while records of MMR are copied
 */
export async function moderateMany(
  parts: BulkRequestParts,
  wish: BulkWish,
  asker: BulkAsker,
  { signal, forMs = LONGEST_MS }: { readonly signal: AbortSignal; readonly forMs?: number | undefined },
): Promise<BulkOutcome> {
  await refuseWhileCopying(parts)
  const { actor, ...what } = asker
  const end = performance.now() + forMs
  const { outcome } = await audited(parts, actor, what, async () => {
    const affected: string[] = []
    const collect = (names: readonly Name[]) => {
      for (const name of names) if (affected.length < AFFECTED_AT_MOST) affected.push(formatMxc(name))
    }
    const run = new BulkRun(parts, wish)
    const isDone = await run.goOn(() => signal.aborted || performance.now() >= end, collect)
    const { progress } = run
    tellOf(parts, wish, asker, progress)
    const taskId = isDone ? null : await goOnAsTask(parts, wish, asker, progress)
    return { affected: progress.done, outcome: { progress, affected, taskId } }
  })
  return outcome
}

/** What a task of this kind remembers. */
interface BulkTask {
  readonly wish: BulkWish
  readonly asker: BulkAsker
}

async function goOnAsTask(
  parts: BulkRequestParts,
  wish: BulkWish,
  { actor, ...what }: BulkAsker,
  progress: BulkProgress,
): Promise<number> {
  const params = { wish, asker: { ...what, actor: { ...actor } } }
  const startedAt = parts.clock.now()
  const { id } = await parts.db.write(addTask, { name: BULK_TASKS[wish.verb], params, progress, startedAt })
  parts.notifier.notify('tasks', String(id))
  return id
}

/** Goes on with what a request left, until all is done. `save` is called after each page, and throws when it is not to go on. */
export async function goOnWithTask(
  parts: BulkParts,
  task: Pick<Task, 'params' | 'progress'>,
  { signal, save }: { readonly signal: AbortSignal; readonly save: (progress: BulkProgress) => Promise<void> },
): Promise<void> {
  // As `goOnAsTask` wrote them.
  const { wish, asker } = task.params as unknown as BulkTask
  const begun = task.progress as BulkProgress
  const { actor, ...what } = asker
  await audited(parts, actor, what, async () => {
    const run = new BulkRun(parts, wish, begun)
    await run.goOn(
      () => {
        signal.throwIfAborted()
        return false
      },
      () => save(run.progress),
    )
    const done = run.progress.done - begun.done
    tellOf(parts, wish, asker, { ...run.progress, done, bytes: run.progress.bytes - begun.bytes })
    return { affected: done }
  })
}

function tellOf({ events }: BulkParts, { verb }: BulkWish, asker: BulkAsker, progress: BulkProgress): void {
  const { done, bytes, kept } = progress
  manyModerated(events, { verb, subject: asker.subject, by: asker.actor.by, names: done, bytes, kept })
}
