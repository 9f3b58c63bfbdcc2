import { type Actor, beginDeed, type Deed, endDeed, type What } from '../db/audit.ts'
import type { Database } from '../db/connect.ts'
import type { Unit } from '../db/query.ts'
import type { Clock } from '../lib/clock.ts'
import { messagesOf } from '../lib/errors.ts'
import { administered } from '../lib/administration-events.ts'
import { type EventParts } from '../lib/events.ts'

export interface AuditParts {
  readonly db: Pick<Database, 'write'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/**
 * Does something that takes several transactions, and keeps a line of it in the audit log: begun before the first change, ended
 * with what `work` gives as `affected` (null: it is not counted), or with what went wrong. If the instance dies over it, the line
 * stays without an end. Whether the actor may do it has to be known before: refusals are no lines. What is one transaction is
 * for `auditedWrite`.
 */
export async function audited<Result extends { readonly affected: number | null }>(
  parts: AuditParts,
  actor: Actor,
  what: What,
  work: () => Promise<Result>,
): Promise<Result> {
  const { db, clock } = parts
  const id = await db.write(beginDeed, { ...actor, ...what, at: clock.now() })
  try {
    const result = await work()
    await end(parts, { ...actor, ...what, id, affected: result.affected, error: '' })
    return result
  } catch (error) {
    await end(parts, { ...actor, ...what, id, affected: null, error: messagesOf(error).join(': ') })
    throw error
  }
}

interface Ending extends Actor, What {
  readonly id: number
  readonly affected: number | null
  readonly error: string
}

/** What is done is done, also where that can not be written down any more: the line then stays without an end. */
async function end({ db, clock, events }: AuditParts, { id, affected, error, ...deed }: Ending): Promise<void> {
  administered(events, { ...deed, affected, error })
  try {
    await db.write(endDeed, { id, at: clock.now(), affected, error })
  } catch (cause) {
    events.log.error({ err: cause, audit: id }, 'the end of an action could not be written to the audit log')
  }
}

/** A unit that writes its own line: it passes `audit` on to `noteDeed`, as the last thing that it does. */
export type AuditedUnit<Args, Result> = Unit<Args & { readonly audit?: Deed | undefined }, Result>

/**
 * Runs a write unit that keeps a line of the audit log in its own transaction: neither is there without the other. `affected`
 * says how many it was, for the log; an actor of null is the program itself, which keeps no lines.
 */
export async function auditedWrite<Args, Result>(
  { db, clock, events }: AuditParts,
  actor: Actor | null,
  what: What,
  unit: AuditedUnit<Args, Result>,
  args: Args,
  affected: (result: Result) => number | null,
): Promise<Result> {
  const audit = actor ? { ...actor, ...what, at: clock.now() } : undefined
  const result = await db.write(unit, { ...args, audit })
  if (audit) administered(events, { ...audit, affected: affected(result), error: '' })
  return result
}
