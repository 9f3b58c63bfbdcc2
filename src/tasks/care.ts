import type { Datastore } from '../datastores/datastore.ts'
import type { Datastores } from '../datastores/datastores.ts'
import { stagedSwept } from '../lib/background-events.ts'
import type { CareParts } from '../media/lost.ts'
import { scrub } from '../media/scrub.ts'
import { sweep } from '../media/sweep.ts'
import type { Job } from './schedule.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

export interface CareJobParts extends CareParts {
  readonly datastores: Pick<Datastores, 'all' | 'get' | 'otherPlaces'>
}

/** What keeps records and stored objects in agreement, each once among all instances. */
export function careJobs(parts: CareJobParts, scrubBytesPerHour: () => number): readonly Job[] {
  const sweepThose = async (which: (datastore: Datastore) => boolean, signal: AbortSignal) =>
    await eachOf([...parts.datastores.all].filter(which), (datastore) => sweep(parts, datastore, signal))
  return [
    {
      name: 'sweep',
      everyMs: DAY_MS,
      run: ({ signal }) => sweepThose((datastore) => datastore.listsRecentQuickly === true, signal),
    },
    {
      // These have to list everything they keep.
      name: 'sweep of buckets',
      everyMs: 7 * DAY_MS,
      run: ({ signal }) => sweepThose((datastore) => datastore.listsRecentQuickly !== true, signal),
    },
    {
      name: 'scrub',
      everyMs: MINUTE_MS,
      run: ({ signal }) => scrub(parts, { bytesPerHour: scrubBytesPerHour, signal }),
    },
  ]
}

/**
 * Deletes once a day what broken uploads left half received (crashes; at the start the datastores do it themselves). On each
 * instance: some receive into folders of their own.
 */
export function startStagingSweep(
  parts: Pick<CareJobParts, 'datastores' | 'events'>,
  everyMs: number = DAY_MS,
): AsyncDisposable {
  let running = Promise.resolve()
  const timer = setInterval(() => {
    running = running.then(() => sweepAllStaged(parts))
  }, everyMs).unref()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await running
    },
  }
}

async function sweepAllStaged({ datastores, events }: Pick<CareJobParts, 'datastores' | 'events'>): Promise<void> {
  try {
    await eachOf([...datastores.all], async (datastore) => {
      const files = (await datastore.sweepStaged?.()) ?? 0
      if (files > 0) stagedSwept(events, { datastore: datastore.id, files })
    })
  } catch (error) {
    events.log.warn({ err: error }, 'could not look for what broken uploads left')
  }
}

/** Does the work for each datastore; one that fails does not keep the others from their turn. */
async function eachOf(
  datastores: readonly Datastore[],
  work: (datastore: Datastore) => Promise<unknown>,
): Promise<void> {
  const problems: unknown[] = []
  for (const datastore of datastores) {
    try {
      await work(datastore)
    } catch (error) {
      problems.push(new Error(`datastore ${datastore.id}`, { cause: error }))
    }
  }
  if (problems.length === 1) throw problems[0]
  if (problems.length > 1) throw new AggregateError(problems, `${problems.length} datastores`)
}
