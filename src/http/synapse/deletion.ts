import { findMedia } from '../../db/media.ts'
import { Refused } from '../../lib/errors.ts'
import { avatarOf, roomAvatars } from '../../matrix/administration.ts'
import { auditedDeletion, deleteNamed, type Gone } from '../../media/named.ts'
import { type Avatars, deleteOldUploads, MOST_DELETED } from '../../media/old-media.ts'
import { formatMxc } from '../../matrix/ids.ts'
import { actorOf, administratorOf } from '../admin/moderator.ts'
import { type Answer, json } from '../answers.ts'
import type { Call } from '../call.ts'
import { described } from '../described.ts'
import { integer, list, object, string } from '../json-schema.ts'
import { flag, mediaId, moment, serverName, whole } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { actOnMany, restOf, unfinished } from './many.ts'
import { questioning } from './rights.ts'

const chapter = 'Synapse: deletion'
const deletedMedia = object({
  deleted_media: list(string('Media id of what was deleted.')),
  total: integer('How many were deleted.'),
})
const deletedAnswer = ({ names }: Gone): Answer =>
  json({ deleted_media: names.map((name) => name.mediaId), total: names.length })

/** `DELETE media/{server}/{mediaId}`. */
export const deleteMedia = described(
  {
    summary: 'Deletes some media of the homeserver',
    details: 'Also if it is protected. What is quarantined stays blocked.',
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
    const name = { origin, mediaId: id }
    if (!(await findMedia(parts.db.read, origin, id))) throw new Refused('not_found', 'Unknown media')
    const what = { action: 'purge_individual_media', subject: formatMxc(name) }
    const rules = { evenProtected: true }
    const work = () => deleteNamed(parts, [name], rules)
    return deletedAnswer(await auditedDeletion(parts, actorOf(call), what, work))
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
  const what = { action: 'purge_old_media', subject: name, details: { ...asked } }
  const avatars = keepsProfiles ? avatarsFor(parts, call) : undefined
  const work = () => deleteOldUploads(parts, { serverName: name, before, largerThan }, avatars, call.signal)
  return deletedAnswer(await auditedDeletion(parts, actorOf(call), what, work))
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
    answer: object({ deleted: integer('How many were deleted.') }, unfinished),
  },
  async (parts, call, given) => {
    const { before_ts: before } = given.query
    refuseSeconds(before)
    const what = { verb: 'purge', action: 'purge_remote_media', subject: 'unused of other servers' } as const
    const selection = { by: 'last_use', local: false } as const
    const outcome = await actOnMany(parts, call, { ...what, selection, before, moderator: administratorOf(call) })
    return json({ deleted: outcome.progress.done, ...restOf(outcome) })
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
