/** What datastores need, for tests that open them without a server. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { DatastoreParts } from '../../src/datastores/datastores.ts'
import type { Log } from '../../src/lib/log.ts'

export function datastoreParts(folder: string, log: Log): DatastoreParts {
  return {
    now: () => Date.now(),
    random: Math.random,
    newName: randomUUID,
    newKey: randomUUID,
    stagingFolder: join(folder, 'staging'),
    log,
    called: () => {},
  }
}
