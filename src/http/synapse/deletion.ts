import { findMedia } from '../../db/media.ts'
import { Refused } from '../../lib/errors.ts'
import { avatarOf, roomAvatars } from '../../matrix/administration.ts'
import { remove } from '../../media/moderation.ts'
import { inAuditLog } from '../../media/named.ts'
import { type Avatars, deleteOldRemote, deleteOldUploads, MOST_DELETED } from '../../media/old-media.ts'
import { administratorOf } from '../admin/moderator.ts'
import { type Answer, json } from '../answers.ts'
import type { Call } from '../call.ts'
import { described } from '../described.ts'
import { integer, list, object, string } from '../json-schema.ts'
import { flag, mediaId, moment, serverName, whole } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { questioning } from './rights.ts'

const chapter = 'Synapse: deletion'
const deletedMedia = object({
  deleted_media: list(string('Media id of what was deleted.')),
  total: integer('How many were deleted.'),
})
const deletedAnswer = (ids: readonly string[]): Answer => json({ deleted_media: ids, total: ids.length })

/** `DELETE media/{server}/{mediaId}`. */
export const deleteMedia = described(
  {
    summary: 'Deletes some media of the homeserver',
    chapter,
    path: {
      server: serverName({ description: 'The homeserver addressed.' }),
      mediaId: mediaId({ description: 'The media id in the MXC URI.' }),
    },
    answer: deletedMedia,
    refusals: ['bad_request', 'not_found'],
  },
  async (parts, call, { path: { server: origin, mediaId: id } }) => {
    requireAddressed(call, origin)
    if (!(await findMedia(parts.db.read, origin, id))) throw new Refused('not_found', 'Unknown media')
    await remove(parts, administratorOf(call), { origin, mediaId: id })
    return deletedAnswer([id])
  },
)

const query = {
  before_ts: moment({
    description: 'Only what was last read before, in ms since 1970; what nobody read, uploaded before.',
  }),
  size_gt: whole({ description: 'Only what is larger, in bytes.', fallback: 0 }),
  keep_profiles: flag({
    description: 'Keep the pictures of users and rooms, as far as the homeserver (Synapse) tells of them.',
    fallback: true,
  }),
}
const aboutOld = {
  summary: 'Deletes old and large media of the homeserver',
  details:
    `The least recently read first, ${MOST_DELETED} at most; whoever asks again gets the next. ` +
    'What is quarantined or protected stays.',
  chapter,
  query,
  answer: deletedMedia,
  refusals: ['bad_request'],
} as const

type Asked = { readonly before_ts: number; readonly size_gt: number; readonly keep_profiles: boolean }

/** `POST media/delete`. */
export const deleteOld = described(
  aboutOld,
  async (parts, call, given) => await deleteOldMedia(parts, call, given.query),
)

/** `POST media/{server}/delete`, its older name. */
export const deleteOldOf = described(
  { ...aboutOld, path: { server: serverName({ description: 'The homeserver addressed.' }) } },
  async (parts, call, given) => {
    requireAddressed(call, given.path.server)
    return await deleteOldMedia(parts, call, given.query)
  },
)

async function deleteOldMedia(parts: HttpParts, call: Call, asked: Asked): Promise<Answer> {
  const { before_ts: before, size_gt: largerThan, keep_profiles: keepsProfiles } = asked
  refuseSeconds(before)
  const { name } = call.homeserver
  const deed = { action: 'purge_old_media', subject: name, details: { ...asked } }
  const { deleted } = await inAuditLog(parts, administratorOf(call), deed, async () => {
    const avatars = keepsProfiles ? avatarsFor(parts, call) : undefined
    const ids = await deleteOldUploads(parts, { serverName: name, before, largerThan }, avatars, call.signal)
    return { affected: ids.length, deleted: ids }
  })
  return deletedAnswer(deleted)
}

function avatarsFor(parts: HttpParts, call: Call): Avatars {
  const asked = questioning(parts, call)
  return { ofUser: (userId) => avatarOf(asked, userId), ofRooms: () => roomAvatars(asked) }
}

/** `POST purge_media_cache`. */
export const purgeCache = described(
  {
    summary: 'Deletes media of other servers that nobody has read for long',
    details: 'They are fetched again when somebody asks for them. What is quarantined or protected stays.',
    chapter,
    query: { before_ts: query.before_ts },
    answer: object({ deleted: integer('How many were deleted.') }),
  },
  async (parts, call, given) => {
    const { before_ts: before } = given.query
    refuseSeconds(before)
    const deed = { action: 'purge_remote_media', subject: 'remote', details: { before_ts: before } }
    const { affected } = await inAuditLog(parts, administratorOf(call), deed, async () => ({
      affected: await deleteOldRemote(parts, before, call.signal),
    }))
    return json({ deleted: affected })
  },
)

/** Of January to December 1970, in ms; in seconds, it is the year 2920. */
const EARLIEST = 30_000_000_000

function refuseSeconds(before: number): void {
  if (before >= EARLIEST) return
  throw new Refused('bad_parameter', `before_ts must be in milliseconds since 1970: ${before} is in 1970`)
}

function requireAddressed({ homeserver: { name } }: Call, origin: string): void {
  if (origin === name) return
  throw new Refused('bad_request', `Only media of ${name} can be deleted here, not of ${origin}`)
}
