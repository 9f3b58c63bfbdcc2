import type { Database } from '../db/connect.ts'
import { findMedia } from '../db/media.ts'
import { addReports, closeReports, findReport, type Report, type ReportOutcome } from '../db/reports.ts'
import { Refused } from '../lib/errors.ts'
import { reportClosed, reported } from '../lib/gate-events.ts'
import { formatMxc, type Mxc } from '../matrix/ids.ts'
import { auditedWrite } from './audit.ts'
import { type ModerationParts, type Moderator, quarantine } from './moderation.ts'

export interface ReportParts extends ModerationParts {
  readonly db: Pick<Database, 'read' | 'write'>
  /** Makes a text that nobody else has. */
  readonly newToken: () => string
}

const BY_ADMINISTRATORS = 'administrator'

/**
 * Puts media into the queue, for administrators to look at.
 *
 * @throws {Refused} `not_found`
 */
export async function report(
  parts: ReportParts,
  { userId: by, actor }: Moderator,
  { origin, mediaId, reason }: Mxc & { readonly reason: string },
): Promise<{ readonly isNew: boolean }> {
  const record = await findMedia(parts.db.read, origin, mediaId)
  if (!record) throw new Refused('not_found', 'Not found')
  const id = parts.newToken()
  const about = { id, origin, mediaId, sha256: record.sha256, source: BY_ADMINISTRATORS, reason }
  const reports = [{ ...about, reporter: by ?? null, createdAt: parts.clock.now() }]
  const what = { action: 'report_media', subject: formatMxc(record) }
  const added = await auditedWrite(parts, actor, what, addReports, { reports }, Number)
  if (added > 0) reported(parts.events, { id, mxc: formatMxc(record), source: BY_ADMINISTRATORS, reason })
  return { isNew: added > 0 }
}

/** Closes a report without doing anything about the media. */
export async function dismiss(parts: ReportParts, moderator: Moderator, id: string): Promise<Report> {
  return await close(parts, moderator, await requireReport(parts, id), 'dismissed')
}

/** Quarantines what was reported, under all its names, and closes every report of it. */
export async function quarantineReported(parts: ReportParts, moderator: Moderator, id: string): Promise<Report> {
  const found = await requireReport(parts, id)
  await quarantine(parts, moderator, found)
  return await close(parts, moderator, found, 'quarantined')
}

async function close(
  parts: ReportParts,
  { userId, actor }: Moderator,
  found: Report,
  outcome: ReportOutcome,
): Promise<Report> {
  const { id } = found
  const closing = { id, outcome, at: parts.clock.now(), by: userId ?? null }
  const what = { action: outcome === 'dismissed' ? 'dismiss_report' : 'quarantine_report', subject: formatMxc(found) }
  const closed = await auditedWrite(parts, actor, { ...what, details: { report: id } }, closeReports, closing, Number)
  if (closed > 0) reportClosed(parts.events, { id, mxc: formatMxc(found), outcome, by: userId })
  return await requireReport(parts, id)
}

/** @throws {Refused} `not_found` */
async function requireReport({ db }: ReportParts, id: string): Promise<Report> {
  const found = await findReport(db.read, id)
  if (!found) throw new Refused('not_found', `There is no report ${id}`)
  return found
}
