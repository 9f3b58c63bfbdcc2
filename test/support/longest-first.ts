/** The order of test files: those that take longest begin first, so that none of them is what a run still waits for at its end. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** From half a minute up, the longest first: they kill servers again and again, wait for leases to end, or start whole stacks. */
const LONG: readonly string[] = [
  'test/integration/crash.test.ts',
  'test/integration/crash-instances.test.ts',
  'test/integration/retention-instances.test.ts',
  'test/integration/tasks-instances.test.ts',
  'test/integration/schemathesis.test.ts',
  'test/contract/database.test.ts',
  'test/integration/archive-crash.test.ts',
  'test/integration/states.test.ts',
  'test/integration/import-real-synapse.test.ts',
  'test/integration/remote-instances.test.ts',
  'test/integration/mmr-kill.test.ts',
  'test/integration/mmr-switch.test.ts',
  'test/integration/datastores-command.test.ts',
  'test/integration/s3-outage.test.ts',
  'test/integration/backup.test.ts',
  'test/integration/instances-redis.test.ts',
  'test/integration/import-synapse.test.ts',
  'test/integration/export-synapse.test.ts',
  'test/integration/stacks.test.ts',
  'test/integration/thumbnail-instances.test.ts',
  'test/integration/database-outage.test.ts',
  'test/integration/lost-datastores.test.ts',
  'test/integration/import-dendrite.test.ts',
  'test/integration/transfer-instances.test.ts',
]

/**
 * A fresh clone has no record of how long files took, and vitest goes by their sizes then, which say little here: the longest
 * file is a small one. These first; the others as vitest sorts them.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { root } = this.ctx.config
    const gone = LONG.filter((file) => !existsSync(join(root, file)))
    if (gone.length > 0) throw new Error(`test/support/longest-first.ts names what is no file: ${gone.join(', ')}`)
    const places = new Map(LONG.map((file, index) => [join(root, file), index]))
    const placeOf = ({ moduleId }: TestSpecification) => places.get(moduleId) ?? LONG.length
    return (await super.sort(files)).toSorted((a, b) => placeOf(a) - placeOf(b))
  }
}
