import type { Database } from '../db/connect.ts'
import { sweepReservations } from '../db/pending.ts'
import { foldUsage } from '../db/usage.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'

const EVERY_MS = 60_000
const BATCH = 500
/** An upload that began in time may still be running long after its reservation ended. */
const KEEP_ENDED_RESERVATIONS_MS = 24 * 3600 * 1000

interface UpkeepParts {
  readonly db: Pick<Database, 'write'>
  readonly clock: Clock
  readonly log: Log
}

/** Small chores once a minute: usage differences into totals, reservations that ended long ago away. Safe on many instances. */
export function startUpkeep(parts: UpkeepParts): AsyncDisposable {
  let running = Promise.resolve()
  const timer = setInterval(() => {
    running = running.then(() => upkeep(parts))
  }, EVERY_MS).unref()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await running
    },
  }
}

/** One round of the chores. A failure is logged; the next round tries again. */
export async function upkeep({ db, clock, log }: UpkeepParts): Promise<void> {
  try {
    while ((await db.write(foldUsage, { limit: BATCH })) === BATCH);
    const before = clock.now() - KEEP_ENDED_RESERVATIONS_MS
    while ((await db.write(sweepReservations, { before, limit: BATCH })) === BATCH);
  } catch (error) {
    log.warn({ err: error }, 'the minute’s chores did not get done')
  }
}
