import type { JsonObject } from '../db/json.ts'
import { MMR_TAKE_OVER } from '../db/mmr/state.ts'
import type { PassProgress } from '../media/mmr/pass.ts'
import type { RunningTask, TaskKind } from './run-task.ts'

/** Goes through the tables of MMR in our own database. */
export type GoThroughMmr = (
  task: Pick<RunningTask, 'signal'> & {
    readonly lease: RunningTask['held']['lease']
    readonly onProgress: (progress: PassProgress) => Promise<void>
  },
) => Promise<JsonObject>

/** Taking over from matrix-media-repo in its own database. How far it is stands with what it writes; the task only shows it. */
export function mmrKind(goThrough: GoThroughMmr): TaskKind {
  return {
    name: MMR_TAKE_OVER,
    run: async ({ held, signal, save }) => {
      const onProgress = async ({ phase, rows, of }: PassProgress) => await save({ phase, rows, of })
      await save(await goThrough({ lease: held.lease, signal, onProgress }))
      return ''
    },
  }
}
