import type { Snapshot } from '../config/snapshot.ts'
import type { Notifier } from '../coordination/notifier.ts'
import type { Database } from '../db/connect.ts'
import { openSource } from '../db/mmr/source.ts'
import { findTakeOver, HERE, MMR_TAKE_OVER } from '../db/mmr/state.ts'
import { addTask } from '../db/tasks.ts'
import type { Clock } from '../lib/clock.ts'
import { takeOverCopied, takeOverFound } from '../lib/background-events.ts'
import type { EventParts } from '../lib/events.ts'
import { isSameServer } from '../matrix/x-matrix.ts'
import { Bringing } from '../media/mmr/bring.ts'
import { copyUrgent } from '../media/mmr/pass.ts'
import type { ReadingRules } from '../media/mmr/records.ts'
import { begin, findUsableMmr, goOn } from '../media/mmr/take-over.ts'
import type { GoThroughMmr } from '../tasks/mmr.ts'
import { variantOf } from '../thumbnails/variants.ts'

export interface MmrParts {
  readonly db: Pick<Database, 'read' | 'write'>
  readonly notifier: Pick<Notifier, 'announce' | 'notify'>
  readonly clock: Clock
  readonly events: Pick<EventParts, 'log' | 'metrics'>
  readonly config: () => Snapshot
}

/** What may be an animation in MMR's eyes: a still thumbnail of it says nothing of what is to move. */
const MAY_MOVE = /^image\/(gif|png|apng|webp)\b/

/** How MMR's rows are read by a configuration. */
export function readingRules({ homeservers, datastores, main }: Snapshot): ReadingRules {
  const ids = new Set(datastores.map(({ id }) => id))
  const named = (name: string) => homeservers.find((homeserver) => isSameServer(homeserver.name, name))
  return {
    isOurs: (name) => named(name) !== undefined,
    hasDatastore: (id) => ids.has(id),
    variantOf: (origin, sourceType, isMoving) => {
      const options = { ...(named(origin)?.thumbnails ?? main.thumbnails), animationFormat: 'gif' as const }
      const motion = isMoving ? 'moving' : MAY_MOVE.test(sourceType) ? 'can' : undefined
      return variantOf(options, { motion })
    },
  }
}

/**
 * Takes over from matrix-media-repo where its tables are in our database: what must hold from the first request on is copied now, the
 * rest by a task; until that has come to them, records are brought here as requests name them. Undefined: there is nothing to take over.
 *
 * @throws {ConfigError} for tables of a version that we do not know
 */
export async function takeOverHere(parts: MmrParts): Promise<Bringing | undefined> {
  const { db, clock, events, config } = parts
  const before = await findTakeOver(db.read)
  if (before?.state === 'finished' || before?.state === 'finishing') return undefined
  const found = await findUsableMmr(db.read)
  if (!found) return undefined
  const { main } = config()
  await using source = openSource(main.database.postgres)
  const tables = { db: source.db, schema: found.schema }
  const stands = await begin(parts, { name: HERE, tables })
  takeOverFound(events, { schema: found.schema, isNew: stands.copiedAt === null })
  await copyUrgent(parts, tables, readingRules(config()))
  const task = { name: MMR_TAKE_OVER, params: {}, progress: {}, startedAt: clock.now(), sameAs: {} }
  const { id } = await db.write(addTask, task)
  parts.notifier.notify('tasks', String(id))
  return new Bringing({ ...parts, schema: found.schema, rules: () => readingRules(config()) })
}

/** What the task does. */
export function goThroughHere(parts: MmrParts): GoThroughMmr {
  return async ({ lease, signal, onProgress }) => {
    const stands = await findTakeOver(parts.db.read)
    if (stands?.source !== HERE || stands.state === 'finished') return {}
    const { main } = parts.config()
    await using source = openSource(main.database.postgres)
    const tables = { db: source.db, schema: stands.schema }
    const counts = await goOn(parts, tables, readingRules(parts.config()), { lease, signal, onProgress })
    takeOverCopied(parts.events, counts)
    return { ...counts, problems: { ...counts.problems } }
  }
}
