import PQueue from 'p-queue'
import type { ImportProblem } from '../db/import-problems.ts'
import { ConfigError, messagesOf, Unavailable } from '../lib/errors.ts'
import { EMPTY } from '../lib/tally.ts'
import { judge } from './judge.ts'
import type { ImportedRecord, RecordSource } from './records.ts'
import { BATCH, type ImportParts } from './run.ts'
import { counted, type Outcome, type Tally } from './tally.ts'

export interface LookingParts extends ImportParts {
  readonly onProblem: (problem: ImportProblem) => void
}

/** What an import would do, as far as can be told without reading files: nothing is changed. */
export async function rehearseImport(parts: LookingParts, source: RecordSource): Promise<Tally> {
  const rows = await source.count()
  const queue = new PQueue({ concurrency: parts.workers })
  let tally: Tally = EMPTY
  for (let after: string | undefined; ;) {
    parts.signal.throwIfAborted()
    const page = await source.page(after, BATCH)
    if (page.length === 0) return tally
    after = page.at(-1)?.at
    const { todo, outcomes, problems } = await judge(parts, page)
    for (const outcome of outcomes) tally = counted(tally, outcome)
    problems.forEach(parts.onProblem)
    const looked = await queue.addAll(
      todo.map(
        ({ record }) =>
          () =>
            look(parts, record),
      ),
    )
    for (const { record, outcome, problem } of looked) {
      tally = counted(tally, outcome, record.size)
      if (problem) parts.onProblem(problem)
    }
    parts.onProgress(tally, rows)
  }
}

interface Looked {
  readonly record: ImportedRecord
  readonly outcome: Outcome
  readonly problem?: ImportProblem
}

/** Whether the places that may have a file have it, of the size that it should have. */
export async function look({ sources }: LookingParts, record: ImportedRecord): Promise<Looked> {
  const { origin, mediaId } = record
  const wrong: string[] = []
  let outcome: 'missing' | 'damaged' | 'unreadable' = 'missing'
  for (const source of sources) {
    try {
      await using found = await source.find(record)
      if (!found) continue
      if (found.size === undefined || found.size === record.size) return { record, outcome: 'found' }
      outcome = 'damaged'
      wrong.push(`${source.name} has ${found.size} bytes, the homeserver's record says ${record.size}`)
    } catch (error) {
      if (error instanceof ConfigError || error instanceof Unavailable) throw error
      outcome = 'unreadable'
      wrong.push(`${source.name}: ${messagesOf(error).join(': ')}`)
    }
  }
  return { record, outcome, problem: { origin, mediaId, problem: outcome, details: wrong.join('; ') } }
}
