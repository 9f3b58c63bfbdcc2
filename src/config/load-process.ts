import { ConfigError } from '../lib/errors.ts'
import { changesBetween } from './changes.ts'
import { dataOf, type Outcome, type Task } from './load-apart.ts'
import { loadConfig } from './load.ts'

/** The process of `loadApart`: loads, compares, answers, ends. */
process.once('message', (task: Task) => {
  void outcomeOf(task).then((outcome) => process.send?.(outcome, () => process.disconnect()))
})

async function outcomeOf({ source, previous }: Task): Promise<Outcome> {
  try {
    const data = dataOf(await loadConfig(source))
    return { data, changes: previous ? changesBetween(previous, data) : { live: [], restart: [] } }
  } catch (error) {
    return error instanceof ConfigError ? { problems: error.problems, warnings: error.warnings } : { failed: error }
  }
}
