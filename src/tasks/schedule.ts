import { setTimeout as delay } from 'node:timers/promises'
import { type LastRun, lastRun, noteRun, spreadFirstRun } from '../db/jobs.ts'
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
  /** Time from the end of one run to the next, in ms. */
  readonly everyMs: number
  /** One run. Long ones stop when the signal aborts; writes that only one instance may make ask for the lease. */
  readonly run: (turn: Turn) => Promise<void>
}

export interface Turn {
  readonly lease: Lease
  readonly signal: AbortSignal
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
const FIRST_WITHIN_MS = 20_000
/** Jobs that come more rarely than every minute have their first run within the hour, each at a moment of its own. */
const OFTEN_MS = 60_000
const FIRST_RARE_WITHIN_MS = 3_600_000
/** And drift apart from then on: of instances, and jobs, none meet at every full hour. */
const SPREAD = 0.1
const SPREAD_AT_MOST_MS = 10 * 60_000

/** Runs each job when it is due: once among all instances, however many run this. Disposing it ends the runs under way. */
export function startSchedule(parts: ScheduleParts, jobs: readonly Job[]): AsyncDisposable {
  const closing = new AbortController()
  const running = jobs.map((job) => keepRunning(parts, job, closing.signal))
  return {
    async [Symbol.asyncDispose]() {
      closing.abort()
      await Promise.all(running)
    },
  }
}

async function keepRunning(parts: ScheduleParts, job: Job, closing: AbortSignal): Promise<void> {
  await pause(parts.random() * Math.min(FIRST_WITHIN_MS, job.everyMs), closing)
  while (!closing.aborted) {
    const dueInMs = await runIfDue(parts, job, closing)
    await pause(dueInMs + parts.random() * Math.min(SPREAD_AT_MOST_MS, job.everyMs * SPREAD), closing)
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => {})
}

/** Runs the job if it is due and nobody else is at it; gives when to ask again, in ms. Failures are in the log. */
async function runIfDue(parts: ScheduleParts, job: Job, closing: AbortSignal): Promise<number> {
  try {
    const dueInMs = await timeUntilDue(parts, job)
    if (dueInMs > 0) return dueInMs
    await withLease(parts, `job ${job.name}`, { signal: closing }, async (lease, signal) => {
      // Somebody may have done it between the question and the lease.
      if ((await timeUntilDue(parts, job)) <= 0) await runOnce(parts, job, { lease, signal }, closing)
    })
    // Not due later: somebody else is still at it, and may die over it.
    const againInMs = await timeUntilDue(parts, job)
    return againInMs > 0 ? againInMs : Math.min(job.everyMs, RETRY_MS)
  } catch (error) {
    if (!closing.aborted) parts.log.warn({ err: error, job: job.name }, 'a scheduled job could not be begun or noted')
    return Math.min(job.everyMs, RETRY_MS)
  }
}

async function timeUntilDue(parts: ScheduleParts, job: Job): Promise<number> {
  const last = await lastRun(parts.db.read, job.name)
  if (!last) return await timeUntilFirst(parts, job)
  tellSuccess(parts, job, last)
  return (last.error === '' ? job.everyMs : Math.min(job.everyMs, RETRY_MS)) - last.agoMs
}

async function timeUntilFirst({ db, random }: ScheduleParts, { name, everyMs }: Job): Promise<number> {
  if (everyMs <= OFTEN_MS) return 0
  const inMs = Math.round(random() * Math.min(everyMs, FIRST_RARE_WITHIN_MS))
  await db.write(spreadFirstRun, { job: name, everyMs, inMs })
  return inMs
}

function tellSuccess({ events, clock }: ScheduleParts, { name: job }: Job, { succeededAgoMs }: LastRun): void {
  if (succeededAgoMs !== null) jobSeen(events, { job, succeededAt: clock.now() - succeededAgoMs })
}

/** A run that was told to stop is not noted: another instance does it instead. */
async function runOnce(parts: ScheduleParts, job: Job, turn: Turn, closing: AbortSignal): Promise<void> {
  const began = performance.now()
  let problem: unknown
  try {
    await job.run(turn)
  } catch (error) {
    problem = error ?? new Error('it failed without saying why')
  }
  if (closing.aborted || turn.signal.aborted) return
  jobRan(parts.events, { job: job.name, durationMs: Math.round(performance.now() - began), problem })
  await parts.db.write(noteRun, { lease: turn.lease, job: job.name, error: messageOf(problem) })
}

function messageOf(problem: unknown): string {
  if (problem === undefined) return ''
  return (problem instanceof Error && problem.message) || 'it failed without saying why'
}
