import type { Judged } from '../db/judged.ts'
import type { NewReport } from '../db/reports.ts'
import { mediaQuarantined } from '../lib/administration-events.ts'
import { type EventParts } from '../lib/events.ts'
import { reported } from '../lib/gate-events.ts'
import type { Notifier } from '../coordination/notifier.ts'
import { formatMxc, type Mxc } from '../matrix/ids.ts'
import type { Candidate } from './gates/gate.ts'
import type { Gates, Judgement } from './gates/gates.ts'
import { announceChanged } from './records.ts'
import { RemoteFileRefused } from './remote-failures.ts'

export interface JudgingParts {
  /** What every file passes before it is stored. */
  readonly gates: Pick<Gates, 'judge' | 'holdsRemote'>
}

export interface AfterJudgingParts {
  readonly notifier: Pick<Notifier, 'announce'>
  readonly events: Pick<EventParts, 'log' | 'metrics'>
}

/** What was committed of a file that gates had something to say of. */
export interface CommittedJudged extends Mxc {
  readonly sha256: string
  readonly judgement: Judgement
  /** How many names of the content were quarantined. */
  readonly names: number
}

/** Tells whom it concerns, once it is committed: instances that keep records of content that is quarantined now, and the log. */
export async function afterJudged(parts: AfterJudgingParts, committed: CommittedJudged): Promise<void> {
  const { judgement, sha256, names } = committed
  const mxc = formatMxc(committed)
  for (const report of judgement.reports) tellReported(parts.events, mxc, report)
  if (judgement.action !== 'quarantine') return
  mediaQuarantined(parts.events, { mxc, sha256, names, by: undefined })
  try {
    await announceChanged(parts.notifier, [sha256])
  } catch (error) {
    // Whoever brought it is refused all the same; other names of it may be served there for a while.
    parts.events.log.error({ err: error, sha256 }, 'a gate quarantined content, but other instances could not be told')
  }
}

function tellReported(events: AfterJudgingParts['events'], mxc: string, { id, source, reason }: NewReport): void {
  reported(events, { id, mxc, source, reason })
}

/** Of a file of another server nobody is known who sent it here. */
type RemoteCandidate = Omit<Candidate, 'kind' | 'uploader' | 'address'>

/**
 * Asks the gates about a file of another server.
 *
 * @throws {RemoteFileRefused} when it is not to be had, and not to be kept
 */
export async function judgeRemote({ gates }: JudgingParts, candidate: RemoteCandidate): Promise<Judgement> {
  const judgement = await gates.judge({ ...candidate, kind: 'remote', uploader: null, address: null })
  if (judgement.action === 'reject') throw new RemoteFileRefused('not_let_through', candidate.staged.sha256)
  return judgement
}

/**
 * As `afterJudged`, if it was committed.
 *
 * @throws {RemoteFileRefused} when it is kept, and not to be had
 */
export async function afterRemoteJudged(
  parts: AfterJudgingParts,
  file: Mxc & { readonly sha256: string },
  judgement: Judgement,
  result: { readonly outcome: string; readonly object?: unknown; readonly names?: number },
): Promise<void> {
  if (judgement.reports.length === 0 || !result.object) return
  await afterJudged(parts, { ...file, judgement, names: result.names ?? 0 })
  if (judgement.action === 'quarantine') throw new RemoteFileRefused('not_let_through', file.sha256)
}

/** What is committed of a judgement, together with the file. */
export function asCommitted({ action, reports }: Judgement): Judged {
  return { quarantine: action === 'quarantine', reports }
}
