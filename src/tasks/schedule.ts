import { setTimeout as delay } from 'node:timers/promises'
import { type LastRun, lastRun, noteRun } from '../db/jobs.ts'
import type { JsonObject } from '../db/json.ts'
import type { Database } from '../db/connect.ts'
import type { Lease } from '../db/leases.ts'
import { type LeaseParts, withLease } from '../db/with-lease.ts'
import { jobRan, jobSeen } from '../lib/background-events.ts'
import type { Clock } from '../lib/clock.ts'
import type { EventParts } from '../lib/events.ts'

/** Something that has to be done again and again, by one instance at a time, whichever lives. */
export interface Job {
  /** Under this name the database remembers when it last ran: for good. */
  readonly name: string
  /** Time from the end of one run to the next, in ms. From an hour on each job has its own minute of the hour. */
  readonly everyMs: number
  /**
   * One run. Long ones stop when the signal aborts; writes that only one instance may make ask for the lease. What it gives is
   * kept until the next run.
   */
  readonly run: (turn: Turn) => Promise<Ran | undefined | void>
}

export interface Turn {
  readonly lease: Lease
  readonly signal: AbortSignal
  /** What the last run reported, if it ended well. */
  readonly last: JsonObject | undefined
}

/** How a run ended that tells something. */
export interface Ran {
  readonly report: JsonObject
  /** There is more to do: when to go on, in ms. */
  readonly againInMs?: number
}

export interface ScheduleParts extends LeaseParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  /** From 0 to 1, so that instances started together do not all ask at the same moment. */
  readonly random: () => number
  readonly clock: Clock
}

/** A run that failed is repeated after this time, if the job's own is longer. */
const RETRY_MS = 5 * 60_000
/** While another instance is at it: it may die over it, and its lease ends soon after. */
const LOOK_AGAIN_MS = 30_000
const FIRST_WITHIN_MS = 20_000
const SPREAD = 0.1
const SPREAD_AT_MOST_MS = 60_000
const HOUR_MS = 3_600_000
/** What a standstill left overdue begins within the twelfth part of an hour. */
const CATCH_UP = 12

/** A job with its place in the hour, in ms. */
export interface PlacedJob extends Job {
  readonly place: number
}

/** Runs each job when it is due: once among all instances, however many run this. Disposing it ends the runs under way. */
export function startSchedule(parts: ScheduleParts, jobs: readonly Job[]): AsyncDisposable {
  const closing = new AbortController()
  const running = placed(jobs).map((job) => keepRunning(parts, job, closing.signal))
  return {
    async [Symbol.asyncDispose]() {
      closing.abort()
      await Promise.all(running)
    },
  }
}

/** Spreads what is done each hour, or more seldom, over the hour: the same for all instances, as they have the same jobs. */
export function placed(jobs: readonly Job[]): readonly PlacedJob[] {
  const seldom = jobs.filter(({ everyMs }) => everyMs >= HOUR_MS)
  return jobs.map((job) => ({
    ...job,
    place: (Math.max(0, seldom.indexOf(job)) * HOUR_MS) / Math.max(1, seldom.length),
  }))
}

async function keepRunning(parts: ScheduleParts, job: PlacedJob, closing: AbortSignal): Promise<void> {
  await pause(parts.random() * Math.min(FIRST_WITHIN_MS, job.everyMs), closing)
  if (await isOverdue(parts, job)) await pause(job.place / CATCH_UP, closing)
  while (!closing.aborted) {
    const dueInMs = await runIfDue(parts, job, closing)
    await pause(dueInMs + parts.random() * Math.min(SPREAD_AT_MOST_MS, job.everyMs * SPREAD), closing)
  }
}

/** Nobody was there when it was due. */
async function isOverdue(parts: ScheduleParts, job: PlacedJob): Promise<boolean> {
  try {
    const last = await lastRun(parts.db.read, job.name)
    return last !== undefined && dueIn(job, last) < 0
  } catch (error) {
    parts.log.debug({ err: error, job: job.name }, 'could not look when a scheduled job last ran')
    return false
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => {})
}

/** Runs the job if it is due and nobody else is at it; gives when to ask again, in ms. Failures are in the log. */
async function runIfDue(parts: ScheduleParts, job: PlacedJob, closing: AbortSignal): Promise<number> {
  try {
    const dueInMs = await timeUntilDue(parts, job)
    if (dueInMs > 0) return dueInMs
    await withLease(parts, `job ${job.name}`, { signal: closing }, async (lease, signal) => {
      // Somebody may have done it between the question and the lease.
      const last = await lastRun(parts.db.read, job.name)
      if (last && dueIn(job, last) > 0) return
      await runOnce(parts, job, { lease, signal, last: last?.error === '' ? last.report : undefined }, closing)
    })
    const againInMs = await timeUntilDue(parts, job)
    return againInMs > 0 ? againInMs : Math.min(job.everyMs, LOOK_AGAIN_MS)
  } catch (error) {
    if (!closing.aborted) parts.log.warn({ err: error, job: job.name }, 'a scheduled job could not be begun or noted')
    return Math.min(job.everyMs, RETRY_MS)
  }
}

async function timeUntilDue(parts: ScheduleParts, job: PlacedJob): Promise<number> {
  const last = await lastRun(parts.db.read, job.name)
  if (!last) return 0
  tellSuccess(parts, last)
  return dueIn(job, last)
}

function tellSuccess({ events, clock }: ScheduleParts, { job, succeededAgoMs }: LastRun): void {
  if (succeededAgoMs !== null) jobSeen(events, { job, succeededAt: clock.now() - succeededAgoMs })
}

/** When a job is due after its last run, in ms from now. */
export function dueIn({ everyMs, place }: PlacedJob, { endedAt, agoMs, error, againInMs }: LastRun): number {
  if (error !== '') return Math.min(everyMs, RETRY_MS) - agoMs
  if (againInMs !== null) return againInMs - agoMs
  if (everyMs < HOUR_MS) return everyMs - agoMs
  // Its next place in an hour that is not much sooner than that.
  const earliest = endedAt + everyMs - HOUR_MS / 2
  const waitMs = (HOUR_MS + place - (earliest % HOUR_MS)) % HOUR_MS
  return earliest + waitMs - (endedAt + agoMs)
}

/** A run that was told to stop is not noted: another instance does it instead. */
async function runOnce(parts: ScheduleParts, job: Job, turn: Turn, closing: AbortSignal): Promise<void> {
  const began = performance.now()
  let problem: unknown
  let ran: Ran | void = undefined
  try {
    ran = await job.run(turn)
  } catch (error) {
    problem = error ?? new Error('it failed without saying why')
  }
  if (closing.aborted || turn.signal.aborted) return
  const durationMs = Math.round(performance.now() - began)
  const { report = null, againInMs = null } = ran ?? {}
  jobRan(parts.events, { job: job.name, durationMs, problem })
  const ended = { error: messageOf(problem), durationMs, report, againInMs }
  await parts.db.write(noteRun, { lease: turn.lease, job: job.name, ...ended })
}

function messageOf(problem: unknown): string {
  if (problem === undefined) return ''
  return (problem instanceof Error && problem.message) || 'it failed without saying why'
}
