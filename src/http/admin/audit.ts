import { type AuditLine, auditLines, outcomeOf } from '../../db/audit.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { anyObject, integer, list as listOf, object, orNull, string } from '../json-schema.ts'
import { moment, text, whole } from '../parameters.ts'

const none = { fallback: null }
const line = object({
  id: integer('Its number; later lines have higher ones.'),
  began_ts: integer('When it was begun, in ms since 1970.'),
  ended_ts: orNull(integer('When it ended; null: it goes on, or the server that did it has crashed.')),
  user_id: string('Who it was: a user id, `@sharedsecret`, or `cli:` and the name of an account of the machine.'),
  address: orNull(string('The address that the request came from; null: the command line.')),
  request_id: orNull(string('The number of the request in the log; null: the command line.')),
  action: string("What was done: the route's name."),
  subject: string(
    'What it was about: an MXC URI, a user id, a room id, a server name, the id of a datastore or of a task.',
  ),
  details: anyObject('What else it was asked for with.'),
  affected: orNull(integer('How many media (or tasks, …) it was; null: that is not counted.')),
  outcome: { type: 'string', enum: ['begun', 'done', 'failed'], description: 'How it ended.' },
  error: string('What went wrong; empty: nothing.'),
})

/** The newest first, page by page. */
export const list = described(
  {
    summary: 'Lists what administrators did, the newest first',
    details: 'Attempts that were refused are in the log of the server only.',
    chapter: 'Audit log',
    query: {
      from: whole({ description: '`next_token` of the page before.', ...none }),
      limit: whole({ description: 'Most lines to give.', min: 1, max: 1000, fallback: 100 }),
      user_id: text({ description: 'Only what this user (or `@sharedsecret`, `cli:…`) did.', ...none }),
      action: text({ description: 'Only this action.', ...none }),
      subject: text({ description: 'Only what was about this.', ...none }),
      from_ts: moment({ description: 'Only what was begun then or later, in ms since 1970.', ...none }),
      until_ts: moment({ description: 'Only what was begun before, in ms since 1970.', ...none }),
    },
    answer: object({ entries: listOf(line) }, { next_token: integer('For the next page; absent: this is the last.') }),
  },
  async ({ db }, _, { query }) => {
    const { user_id: by, action, subject, from_ts: since, until_ts: until, from: before, limit } = query
    // One more than is shown tells whether there is another page.
    const found = await auditLines(db.read, { by, action, subject, since, until, before, limit: limit + 1 })
    const entries = found.slice(0, limit)
    const last = entries.at(-1)
    return json({ entries: entries.map(shown), ...(found.length > limit && last ? { next_token: last.id } : {}) })
  },
)

function shown(found: AuditLine) {
  const { id, at, endedAt, by, address, requestId, action, subject, details, affected, error } = found
  return {
    id,
    began_ts: at,
    ended_ts: endedAt,
    user_id: by,
    address,
    request_id: requestId,
    action,
    subject,
    details,
    affected,
    outcome: outcomeOf(found),
    error,
  }
}
