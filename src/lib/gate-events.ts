/** What happens at the gates that files pass before they are stored: log lines and metrics together, as in `events.ts`. */
import { messagesOf } from './errors.ts'
import type { LogAndMetrics } from './events.ts'

export interface Judged {
  readonly gate: string
  readonly action: string
  readonly reason: string
  readonly mxc: string
  readonly sha256: string
  readonly bytes: number
  readonly uploader: string | null
  readonly durationMs: number
}

/** A gate has judged a file. Only what it does not let through, or reports, is a line. */
export function judged({ log, metrics }: LogAndMetrics, verdict: Judged): void {
  const { gate, action } = verdict
  metrics.gateVerdicts.of(gate, action).add()
  metrics.gateTime.of(gate).observe(verdict.durationMs / 1000)
  const up = metrics.gateUp.of(gate)
  if (up.state === 0) log.info({ gate }, 'the gate can judge files again')
  up.set(1)
  if (action !== 'allow') log.warn(verdict, 'a gate does not simply let a file through')
}

/** A gate could not judge a file. Told when that begins; the metric counts each. */
export function gateFailed(
  { log, metrics }: LogAndMetrics,
  failed: Pick<Judged, 'gate' | 'mxc' | 'sha256' | 'durationMs'> & { readonly onFailure: string },
  error: unknown,
): void {
  const { gate } = failed
  metrics.gateVerdicts.of(gate, 'failed').add()
  metrics.gateTime.of(gate).observe(failed.durationMs / 1000)
  const up = metrics.gateUp.of(gate)
  const line = { ...failed, why: messagesOf(error) }
  if (up.state === 0) log.debug(line, 'a gate cannot judge a file')
  else log.error(line, 'a gate cannot judge files; moderation says what happens to them (onFailure)')
  up.set(0)
}

/** A list of hashes was read, or has not changed (`bad` is undefined). */
export function listRead(
  { log, metrics }: LogAndMetrics,
  read: {
    readonly list: string
    readonly hashes: number
    readonly bad: { readonly count: number; readonly first: number } | undefined
  },
): void {
  const { list, hashes, bad } = read
  metrics.hashListUp.of(list).set(1)
  metrics.hashListSize.of(list).set(hashes)
  if (bad) log.info({ list, hashes }, 'a list of hashes was read')
  if (bad && bad.count > 0) {
    const badLines = { badLines: bad.count, firstBadLine: bad.first }
    log.warn(
      { list, ...badLines },
      'lines of a list of hashes begin with no hash of 64 hexadecimal digits; they do not count',
    )
  }
}

/** A list of hashes could not be read. `isKept`: the one of before stays in force. */
export function listFailed(
  { log, metrics }: LogAndMetrics,
  { list, isKept }: { readonly list: string; readonly isKept: boolean },
  error: unknown,
): void {
  metrics.hashListUp.of(list).set(0)
  const line = { list, why: messagesOf(error) }
  if (isKept) log.warn(line, 'a list of hashes cannot be read; the one that was read before stays in force')
  else log.error(line, 'a list of hashes cannot be read: nothing is checked against it until it can')
}

/** A report is in the queue for administrators. */
export function reported(
  { log, metrics }: LogAndMetrics,
  report: { readonly id: string; readonly mxc: string; readonly source: string; readonly reason: string },
): void {
  metrics.reports.of(report.source).add()
  log.info(report, 'media were reported')
}

/** An administrator has decided about a report. */
export function reportClosed(
  { log, metrics }: LogAndMetrics,
  closed: { readonly id: string; readonly mxc: string; readonly outcome: string; readonly by: string | undefined },
): void {
  metrics.reportsClosed.of(closed.outcome).add()
  log.info(closed, 'a report was closed')
}

/** The configuration names plugins of matrix-media-repo. */
export function pluginsLeftOut({ log }: Pick<LogAndMetrics, 'log'>): void {
  log.warn(
    'plugins of matrix-media-repo (plugins[]) cannot run here; use moderation.hooks instead (docs/moderation.md)',
  )
}
