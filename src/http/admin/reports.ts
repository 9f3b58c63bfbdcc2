import { countOpenReports, listReports, type Report, type ReportPlace } from '../../db/reports.ts'
import { Refused } from '../../lib/errors.ts'
import { formatMxc } from '../../matrix/ids.ts'
import { dismiss, quarantineReported, report } from '../../media/reports.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { boolean, integer, list, map, object, orNull, string } from '../json-schema.ts'
import { mediaId, oneOf, serverName, text, whole } from '../parameters.ts'
import { administratorOf } from './moderator.ts'

const chapter = 'Reports'
const shape = object({
  report_id: string('Its id.'),
  mxc: string('The media.'),
  sha256: string('The content.'),
  source: string('The gate that reported it, or `administrator`.'),
  reason: string('Why.'),
  reported_by: orNull(string('Whoever reported; null: a gate.')),
  created_ts: integer('When it was reported, in ms since 1970.'),
  closed_ts: orNull(integer('When it was decided about; null: not yet.')),
  outcome: orNull(string('`dismissed` or `quarantined`.')),
  closed_by: orNull(string('Whoever decided.')),
})
const path = { reportId: text({ description: 'Id of the report.' }) }

/** Oldest first, a page at a time. */
export const listAll = described(
  {
    summary: 'Lists reported media, oldest first',
    chapter,
    query: {
      state: oneOf(['open', 'closed'], { description: 'Which ones.', fallback: 'open' as const }),
      limit: whole({ description: 'How many at most.', min: 1, max: 1000, fallback: 100 }),
      from: text({ description: '`next_batch` of the page before.', fallback: '' }),
    },
    answer: object(
      {
        reports: list(shape),
        open: integer('How many are open in all.'),
        open_by_source: map(integer('How many are open.')),
      },
      { next_batch: string('To go on with; absent: there are no more.') },
    ),
  },
  async ({ db }, _, { query: { state, limit, from } }) => {
    const reports = await listReports(db.read, { state, after: placeOf(from), limit })
    const counts = await countOpenReports(db.read)
    const last = reports.length === limit ? reports.at(-1) : undefined
    return json({
      reports: reports.map(shown),
      open: counts.reduce((sum, { open }) => sum + open, 0),
      open_by_source: Object.fromEntries(counts.map(({ source, open }) => [source, open])),
      ...(last ? { next_batch: `${last.createdAt}_${last.id}` } : {}),
    })
  },
)

/** For people and bots that hear of media elsewhere. */
export const reportMedia = described(
  {
    summary: 'Reports some media',
    chapter,
    path: {
      server: serverName({ description: 'The server name in the MXC URI.' }),
      mediaId: mediaId({ description: 'The media id in the MXC URI.' }),
    },
    example: { reason: 'spam' },
    query: { reason: text({ description: 'Why.', fallback: '' }) },
    answer: object({ reported: boolean('False: administrators have an open report of it already.') }),
    refusals: ['not_found'],
  },
  async (parts, call, { path: { server, mediaId: id }, query: { reason } }) => {
    const { isNew } = await report(parts, administratorOf(call), { origin: server, mediaId: id, reason })
    return json({ reported: isNew })
  },
)

export const dismissReport = described(
  { summary: 'Closes a report without doing anything', chapter, path, answer: shape, refusals: ['not_found'] },
  async (parts, call, { path: { reportId } }) => json(shown(await dismiss(parts, administratorOf(call), reportId))),
)

export const quarantineReport = described(
  {
    summary: 'Quarantines what was reported, under all its names',
    details: 'Every open report of the same content is closed.',
    chapter,
    path,
    answer: shape,
    refusals: ['not_found'],
  },
  async (parts, call, { path: { reportId } }) =>
    json(shown(await quarantineReported(parts, administratorOf(call), reportId))),
)

function placeOf(from: string): ReportPlace | null {
  if (from === '') return null
  const [, createdAt, id] = /^(\d{1,16})_(\w{1,64})$/.exec(from) ?? []
  if (createdAt === undefined || id === undefined) {
    throw new Refused('bad_parameter', 'from must be the next_batch of another page')
  }
  return { createdAt: Number(createdAt), id }
}

function shown(found: Report) {
  return {
    report_id: found.id,
    mxc: formatMxc(found),
    sha256: found.sha256,
    source: found.source,
    reason: found.reason,
    reported_by: found.reporter,
    created_ts: found.createdAt,
    closed_ts: found.closedAt,
    outcome: found.outcome,
    closed_by: found.closedBy,
  }
}
