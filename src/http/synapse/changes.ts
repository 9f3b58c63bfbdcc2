import { lastQuarantineChange, quarantineChanges } from '../../db/quarantine-changes.ts'
import { Refused } from '../../lib/errors.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { boolean, integer, list, object, string } from '../json-schema.ts'
import { whole } from '../parameters.ts'
import { maySee } from './rights.ts'

const PAGE = 100

/** `GET media/quarantine_changes`. A page may have fewer than there are: what the caller has no business with is left out. */
export const listChanges = described(
  {
    summary: 'Lists what was quarantined and released, the oldest first',
    details: `Up to ${PAGE} at once. Whoever asks with \`next_batch\` as \`from\` gets what came later, and misses nothing.`,
    chapter: 'Synapse: quarantine',
    query: { from: whole({ description: '`next_batch` of the page before.', fallback: 0 }) },
    answer: object({
      next_batch: integer('Where the next page begins.'),
      changes: list(
        object({
          origin: string('The server name in the MXC URI.'),
          media_id: string('The media id in the MXC URI.'),
          quarantined: boolean('Whether it was quarantined; else it was released.'),
        }),
      ),
    }),
  },
  async (parts, call, { query: { from } }) => {
    const last = await lastQuarantineChange(parts.db.read)
    if (from > last) throw new Refused('bad_parameter', `from must not be more than ${last}, the end of the list`)
    const changes = await quarantineChanges(parts.db.read, { after: from, limit: PAGE })
    return json({
      next_batch: changes.at(-1)?.id ?? last,
      changes: changes
        .filter(({ origin }) => maySee(parts, call, origin))
        .map(({ origin, mediaId, quarantined }) => ({ origin, media_id: mediaId, quarantined })),
    })
  },
)
