import { markDamaged, markIntact, objectsAfterHash } from '../db/object-care.ts'
import type { KnownObject } from '../db/objects.ts'
import { noteProgress, progressOf } from '../db/progress.ts'
import {
  objectDamaged,
  objectFoundAgain,
  objectUnreadable,
  scrubbed,
  scrubRoundEnded,
} from '../lib/background-events.ts'
import { type CareParts, isMarkedLost, isReallyGone, noteLost, placeOf } from './lost.ts'
import { type Verified, verify } from './verify.ts'

/** Where the scrub is in its round through all objects, which goes by their hashes. Kept in the database. */
interface Round {
  /** The hash it has come to; '' at the beginning. */
  readonly after: string
  /** Until when the bytes read so far use up the hourly budget, in ms since 1970. */
  readonly paidUntil: number
  readonly startedAt: number
  readonly objects: number
  readonly bytes: number
  readonly damaged: number
  readonly lost: number
  readonly unreadable: number
}

const CHORE = 'scrub'
const HOUR_MS = 3600 * 1000
/** What was not read while no instance ran is not made up for: reading stays slow. */
const CATCH_UP_MS = 5 * 60_000
const OBJECTS_AT_ONCE = 100
/** What an object costs of the budget at least, in bytes: looking for it is work as well. */
const LEAST_COST = 4096
const NOTE_EVERY_MS = 5000

export interface Scrubbing {
  /** `storage.scrubBytesPerHour`; asked again for each object, so that a reload counts at once. 0: none. */
  readonly bytesPerHour: () => number
  readonly signal?: AbortSignal
}

/**
 * Reads stored objects again and compares them with their hashes, for as long as the hourly budget has bytes left or until all
 * were read once: one after the other in the order of their hashes. The next call goes on where any instance ended; two at
 * once do the same work, and only one of them gets on. What is damaged or gone is marked, counted and named in the log, never
 * deleted. Call it again and again.
 *
 * @throws what the database, or a datastore that cannot be used, says: the object it was at is the next one's first
 */
export async function scrub(parts: CareParts, { bytesPerHour, signal }: Scrubbing): Promise<void> {
  if (bytesPerHour() <= 0) return
  const progress = await Progress.read(parts)
  try {
    await goOn(parts, progress, { bytesPerHour, ...(signal ? { signal } : {}) })
  } finally {
    await progress.note()
  }
}

async function goOn(parts: CareParts, progress: Progress, { bytesPerHour, signal }: Scrubbing): Promise<void> {
  for (;;) {
    const from = { after: progress.round.after, limit: OBJECTS_AT_ONCE }
    const rows = await objectsAfterHash(parts.db.read, from)
    for (const row of rows) {
      if (signal?.aborted || !mayRead(progress.round, bytesPerHour(), parts.clock.now())) return
      const result = await look(parts, row, signal)
      scrubbed(parts.events, { datastore: row.datastore, bytes: result.bytes })
      if (!(await progress.add(row, result, bytesPerHour()))) return
    }
    if (rows.length > 0) continue
    if (progress.round.objects > 0) endRound(parts, progress)
    return
  }
}

function mayRead({ paidUntil }: Round, bytesPerHour: number, now: number): boolean {
  return bytesPerHour > 0 && paidUntil <= now
}

/** The round, and when it was last written down: a commit for each thumbnail would cost more than reading it. */
class Progress {
  round: Round
  readonly #parts: CareParts
  #state: string | undefined
  #notedAt: number

  private constructor(parts: CareParts, state: string | undefined) {
    this.#parts = parts
    this.#state = state
    this.#notedAt = parts.clock.now()
    this.round = state === undefined ? firstRound(this.#notedAt) : (JSON.parse(state) as Round)
  }

  static async read(parts: CareParts): Promise<Progress> {
    return new Progress(parts, await progressOf(parts.db.read, CHORE))
  }

  /** Counts an object; gives false when another instance has gone on meanwhile. */
  async add(row: KnownObject, { state, bytes }: Looked, bytesPerHour: number): Promise<boolean> {
    const { round } = this
    const now = this.#parts.clock.now()
    const cost = Math.ceil((Math.max(bytes, LEAST_COST) / Math.max(1, bytesPerHour)) * HOUR_MS)
    this.round = {
      ...round,
      after: row.sha256,
      paidUntil: Math.max(round.paidUntil, now - CATCH_UP_MS) + cost,
      objects: round.objects + 1,
      bytes: round.bytes + bytes,
      damaged: round.damaged + (state === 'damaged' ? 1 : 0),
      lost: round.lost + (state === 'missing' ? 1 : 0),
      unreadable: round.unreadable + (state === 'unreadable' ? 1 : 0),
    }
    return now - this.#notedAt < NOTE_EVERY_MS || (await this.note())
  }

  /** Writes down how far it is; gives false when another instance has gone on meanwhile. */
  async note(): Promise<boolean> {
    const to = JSON.stringify(this.round)
    if (to === this.#state) return true
    const now = this.#parts.clock.now()
    const mine = await this.#parts.db.write(noteProgress, { chore: CHORE, from: this.#state, to, now })
    this.#state = to
    this.#notedAt = now
    return mine
  }
}

interface Looked extends Pick<Verified, 'bytes'> {
  readonly state: Verified['state']
}

async function look(parts: CareParts, row: KnownObject, signal?: AbortSignal): Promise<Looked> {
  const datastore = parts.datastores.get(row.datastore)
  // Of a datastore that is not configured nothing can be told; starting with one is refused anyway.
  if (!datastore) return { state: 'unreadable', bytes: 0 }
  const result = await verify(datastore, row, signal)
  if (result.state === 'intact') await noteIntact(parts, row)
  else if (result.state === 'damaged') await noteDamaged(parts, row, result.problem)
  else if (result.state === 'unreadable') objectUnreadable(parts.events, row, result.problem)
  else if (!isMarkedLost(row) && (await isReallyGone(parts, datastore, row))) await noteLost(parts, datastore, row)
  return result
}

async function noteDamaged({ db, clock, events }: CareParts, row: KnownObject, problem: string): Promise<void> {
  const news = await db.write(markDamaged, { ...placeOf(row), now: clock.now() })
  if (news) objectDamaged(events, row, problem)
}

async function noteIntact({ db, events }: CareParts, row: KnownObject): Promise<void> {
  if (!isMarkedLost(row) && row.damagedAt === null) return
  if (await db.write(markIntact, placeOf(row))) objectFoundAgain(events, row)
}

function endRound({ events, clock }: CareParts, progress: Progress): void {
  const { objects, bytes, damaged, lost, unreadable, startedAt, paidUntil } = progress.round
  scrubRoundEnded(events, { objects, bytes, damaged, lost, unreadable, durationMs: clock.now() - startedAt })
  progress.round = { ...firstRound(clock.now()), paidUntil }
}

function firstRound(now: number): Round {
  const none = { objects: 0, bytes: 0, damaged: 0, lost: 0, unreadable: 0 }
  return { after: '', paidUntil: now - CATCH_UP_MS, startedAt: now, ...none }
}
