/** What happens without a request: tasks, jobs, objects that move, are lost, damaged, found again or swept. As `events.ts`. */
import type { EventParts, LogAndMetrics } from './events.ts'

export interface TaskStart {
  readonly task: string
  readonly id: number
}

/** This instance begins to work on a task, or goes on with one that another left. */
export function taskTaken({ log, metrics }: LogAndMetrics, { task, id }: TaskStart): void {
  metrics.tasksRunning.of(task).add()
  log.info({ task, id }, 'working on a task')
}

/** This instance works on a task no longer, whether or not it has ended. */
export function taskLeft(
  { metrics }: Pick<EventParts, 'metrics'>,
  { task, durationMs }: TaskStart & { readonly durationMs: number },
): void {
  metrics.tasksRunning.of(task).add(-1)
  metrics.taskTime.of(task).observe(durationMs / 1000)
}

/** A task ended. `problem` says what went wrong; empty: nothing. */
export function taskEnded(
  { log, metrics }: LogAndMetrics,
  { task, id, problem, cancelled }: TaskStart & { readonly problem: string; readonly cancelled: boolean },
): void {
  metrics.tasks.of(task, cancelled ? 'cancelled' : problem === '' ? 'done' : 'failed').add()
  if (problem === '') log.info({ task, id }, 'the task is done')
  else log.warn({ task, id, problem }, cancelled ? 'the task was cancelled' : 'the task ended with an error')
}

/** A scheduled job ran here. */
export function jobRan(
  { log, metrics }: LogAndMetrics,
  { job, durationMs, problem }: { readonly job: string; readonly durationMs: number; readonly problem?: unknown },
): void {
  metrics.jobs.of(job, problem === undefined ? 'done' : 'failed').add()
  metrics.jobTime.of(job).observe(durationMs / 1000)
  if (problem === undefined) log.debug({ job, durationMs }, 'a scheduled job ran')
  else log.warn({ job, durationMs, err: problem }, 'a scheduled job failed; it is tried again')
}

/** When a job last ended well, wherever that was, in ms since 1970. */
export function jobSeen(
  { metrics }: Pick<EventParts, 'metrics'>,
  { job, succeededAt }: { readonly job: string; readonly succeededAt: number },
): void {
  metrics.jobSuccess.of(job).set(succeededAt / 1000)
}

/** Tasks that ended long ago were deleted from the ledger. */
export function tasksForgotten(
  { log }: Pick<EventParts, 'log'>,
  { tasks, days }: { tasks: number; days: number },
): void {
  log.info({ tasks, days }, 'deleted tasks that ended longer ago than tasks.keepDays')
}

interface TransferredObject {
  readonly sha256: string
  readonly bytes: number
  /** Where it was: datastore and location there. */
  readonly from: string
  readonly location: string
  readonly to: string
}

/** An object is in another datastore now. */
export function objectMoved({ log, metrics }: LogAndMetrics, object: TransferredObject): void {
  metrics.transferred.of('moved').add()
  metrics.transferredBytes.of().add(object.bytes)
  log.debug(object, 'moved to another datastore')
}

/** An object stays where it was. */
export function objectNotMoved(
  { log, metrics }: LogAndMetrics,
  { problem, ...object }: TransferredObject & { readonly problem: unknown },
): void {
  metrics.transferred.of('failed').add()
  log.warn({ ...object, err: problem }, 'could not be moved to another datastore; it stays where it is')
}

/** Bytes that no record named any more are deleted. */
export function unusedDeleted({ log, metrics }: LogAndMetrics, place: { datastore: string; location: string }): void {
  metrics.unusedDeleted.of().add()
  log.debug(place, 'deleted bytes that no record names')
}

/** Stored bytes, as the events about them name them. */
export interface ObjectPlace {
  readonly sha256: string
  readonly datastore: string
  readonly location: string
}

const onlyPlace = ({ sha256, datastore, location }: ObjectPlace) => ({ sha256, datastore, location })

/** An object's bytes are gone, and its record says so from now on. */
export function objectLost({ log, metrics }: LogAndMetrics, object: ObjectPlace): void {
  metrics.lostObjects.of(object.datastore).add()
  log.error(onlyPlace(object), 'an object is marked as lost; uploading the same file again heals it')
}

/** An object's bytes are not those that were stored; `problem` completes "the object …". */
export function objectDamaged({ log, metrics }: LogAndMetrics, object: ObjectPlace, problem: string): void {
  metrics.damagedObjects.of(object.datastore).add()
  log.error({ ...onlyPlace(object), problem }, 'an object is damaged; uploading the same file again heals it')
}

/** Reading an object fails again and again, in a datastore that works otherwise; `problem` completes "the object …". */
export function objectUnreadable({ log }: Pick<EventParts, 'log'>, object: ObjectPlace, problem: string): void {
  log.error({ ...onlyPlace(object), problem }, 'an object cannot be read')
}

/** An object that was marked as lost or damaged is there, as it was stored. */
export function objectFoundAgain({ log, metrics }: LogAndMetrics, object: ObjectPlace): void {
  metrics.recoveredObjects.of(object.datastore).add()
  log.info(onlyPlace(object), 'an object that was marked as lost or damaged is there again')
}

/** Objects that no record names were deleted. */
export function objectsSwept(
  { log, metrics }: LogAndMetrics,
  swept: { readonly datastore: string; readonly objects: number; readonly bytes: number },
): void {
  metrics.sweptObjects.of(swept.datastore).add(swept.objects)
  if (swept.objects > 0) log.info(swept, 'deleted what crashes left: objects that no record names')
}

/** What broken uploads left half received was deleted. */
export function stagedSwept(
  { log }: Pick<EventParts, 'log'>,
  swept: { readonly datastore: string; readonly files: number },
): void {
  log.info(swept, 'deleted what broken uploads had left half received')
}

/** Bytes of an object were read again to find damage. */
export function scrubbed(
  { metrics }: Pick<EventParts, 'metrics'>,
  { datastore, bytes }: { readonly datastore: string; readonly bytes: number },
): void {
  metrics.scrubbedBytes.of(datastore).add(bytes)
}

/** Every object was read again once. */
export function scrubRoundEnded(
  { log }: Pick<EventParts, 'log'>,
  round: Readonly<Record<'objects' | 'bytes' | 'damaged' | 'lost' | 'unreadable' | 'durationMs', number>>,
): void {
  log.info(round, 'every stored object was read again and compared with its hash')
}

/** Media of other servers were removed because all of them took more than `downloads.maxStoredBytes`; `bytes` are left. */
export function remoteCacheTrimmed(
  { log, metrics }: LogAndMetrics,
  { removed, bytes }: { readonly removed: number; readonly bytes: number },
): void {
  metrics.remoteTrimmed.of().add(removed)
  log.info({ removed, bytes }, 'media of other servers that were not used for longest are removed')
}

/** Media that nobody had used for as long as the configuration says were removed, with `objects` that lost their last name. */
export function mediaExpired(
  { log, metrics }: LogAndMetrics,
  expired: { readonly kind: string; readonly removed: number; readonly bytes: number; readonly objects: number },
): void {
  metrics.expiredMedia.of(expired.kind).add(expired.removed)
  metrics.expiredBytes.of(expired.kind).add(expired.bytes)
  log.info(expired, 'media that were not used for long are removed')
}

/** Thumbnails that nobody had used for `thumbnails.expireAfterDays` were removed. */
export function thumbnailsExpired({ log, metrics }: LogAndMetrics, { removed }: { readonly removed: number }): void {
  metrics.thumbnailsExpired.of().add(removed)
  log.info({ removed }, 'thumbnails that were not used for long are removed')
}

/** Thumbnails of an upload were not made in advance, because others waited for thumbnails; they are made when asked for. */
export function preGenerationDropped({ log, metrics }: LogAndMetrics): void {
  metrics.preGenerationsDropped.of().add()
  log.debug('thumbnails of an upload are not made in advance: others wait for thumbnails')
}

/** Tables of matrix-media-repo are in the database, and are taken over from; `isNew`: for the first time. */
export function takeOverFound(
  { log }: Pick<EventParts, 'log'>,
  { schema, isNew }: { readonly schema: string; readonly isNew: boolean },
): void {
  const what = isNew ? 'copying its records' : 'looking for what it changed'
  log.info({ schema }, `the database has tables of matrix-media-repo: ${what}; it serves all of them meanwhile`)
}

/** Everything that matrix-media-repo has is here. */
export function takeOverCopied(
  { log }: Pick<EventParts, 'log'>,
  counts: { readonly names: number; readonly uploadedHere: number; readonly problems: object },
): void {
  log.info({ ...counts }, 'the records of matrix-media-repo are all here; cellarium import mmr --status says more')
  const { uploadedHere } = counts
  if (uploadedHere === 0) return
  log.info(
    { uploadedHere },
    'matrix-media-repo would not see what was uploaded since; cellarium import mmr --uploaded lists it',
  )
}
