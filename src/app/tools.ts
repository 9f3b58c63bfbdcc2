import { join } from 'node:path'
import type { MainConfig } from '../config/schema.ts'
import type { Snapshot } from '../config/snapshot.ts'
import type { Notifier } from '../coordination/notifier.ts'
import { Datastores, type DatastoresParts } from '../datastores/datastores.ts'
import { type Database, openDatabase } from '../db/connect.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { datastoreChecked, type EventParts, s3Called } from '../lib/events.ts'
import type { Log } from '../lib/log.ts'
import { openMetrics } from '../lib/metrics.ts'
import { openReporter } from '../lib/telemetry.ts'
import { VERSION } from '../lib/version.ts'
import { refuseLostDatastores } from '../media/lost-datastores.ts'
import type { TaskKind } from '../tasks/run-task.ts'
import { taskKinds } from './background.ts'
import { openMessages } from './messages.ts'
import { newToken, randomName } from './names.ts'

/** What command-line tools work with, beside a running server or without one. */
export interface Tools extends AsyncDisposable {
  readonly main: MainConfig
  readonly snapshot: Snapshot
  readonly db: Database
  readonly datastores: Datastores
  readonly notifier: Notifier
  readonly events: EventParts
  readonly clock: Clock
  readonly log: Log
  readonly newToken: () => string
  /** The tasks that a tool can work on itself, where no server does. */
  readonly kinds: readonly TaskKind[]
}

/** Builds what tools need of the parts, from a configuration that is read once. */
export async function openTools(snapshot: Snapshot, log: Log): Promise<Tools> {
  const { main, datastores: configs } = snapshot
  await using parts = new AsyncDisposableStack()
  const reporter = parts.use(await openReporter({ ...main.sentry, enabled: false }, { version: VERSION, log }))
  const events = { log, metrics: openMetrics({ version: VERSION }), reporter }
  const db = parts.use(await openDatabase(main.database, 'tool', log))
  await refuseLostDatastores({ db }, configs)
  const datastores = parts.use(new Datastores(datastoreParts(main, systemClock, events)))
  await datastores.configure(configs)
  const { notifier } = await openMessages(parts, main, db, events)
  const kinds = taskKinds({ db, datastores, notifier, events, clock: systemClock, config: () => snapshot })
  const all = parts.move()
  const dispose = { [Symbol.asyncDispose]: () => all.disposeAsync() }
  return { main, snapshot, db, datastores, notifier, events, clock: systemClock, log, newToken, kinds, ...dispose }
}

/** Where files are that wait for something else, and those that are needed for a while. */
export const stagingFolder = ({ repo }: Pick<MainConfig, 'repo'>): string => join(repo.dataPath, 'staging')

/** What datastores are told of the process they are in. */
export function datastoreParts(main: MainConfig, clock: Clock, events: EventParts): DatastoresParts {
  return {
    now: () => clock.now(),
    random: Math.random,
    newName: () => randomName(6),
    newKey: () => randomName(20),
    stagingFolder: stagingFolder(main),
    log: events.log,
    called: (operation) => s3Called(events, operation),
    onAvailability: (datastore, problem) => datastoreChecked(events, { datastore, problem }),
  }
}
