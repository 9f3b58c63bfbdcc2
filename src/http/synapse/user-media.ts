import { countUserMedia, type UserMedia, userMedia } from '../../db/user-media.ts'
import { Refused } from '../../lib/errors.ts'
import { isKnownUser } from '../../matrix/administration.ts'
import { auditedDeletion, deleteNamed } from '../../media/named.ts'
import { actorOf } from '../admin/moderator.ts'
import { json } from '../answers.ts'
import type { Call } from '../call.ts'
import { described } from '../described.ts'
import { integer, list, object, string } from '../json-schema.ts'
import { oneOf, userId, type Values } from '../parameters.ts'
import type { HttpParts } from '../parts.ts'
import { mediaFields } from './media-info.ts'
import { direction, nextToken, pageOf, paging } from './paging.ts'
import { questioning, requireLocalUser } from './rights.ts'

const columns = {
  media_id: 'mediaId',
  upload_name: 'uploadName',
  created_ts: 'createdAt',
  last_access_ts: 'accessedAt',
  media_length: 'size',
  media_type: 'contentType',
  quarantined_by: 'quarantinedBy',
  safe_from_quarantine: 'isProtected',
} as const

const path = { userId: userId({ description: 'A user of the homeserver addressed.' }) }
const query = {
  ...paging,
  ...direction,
  order_by: oneOf(Object.keys(columns) as (keyof typeof columns)[], {
    description: 'What the list is ordered by. With neither this nor `dir`: the newest first.',
    fallback: null,
  }),
}

/** `GET users/{userId}/media`. */
export const listUserMedia = described(
  {
    summary: 'Lists what a user has uploaded',
    chapter: 'Synapse: users',
    path,
    query,
    answer: object(
      { media: list(object(mediaFields)), total: integer('How many there are in all.') },
      { next_token: integer('`from` of the next page, if there is one.') },
    ),
    refusals: ['bad_request', 'not_found'],
  },
  async (parts, call, given) => {
    const { offset, media, total } = await pageOfUser(parts, call, given.path.userId, given.query)
    return json({
      media: media.map((one) => shown(one, given.path.userId)),
      total,
      ...nextToken(offset, media, total),
    })
  },
)

/** `DELETE users/{userId}/media`: one page. Quarantined content stays blocked. */
export const deleteUserMedia = described(
  {
    summary: 'Deletes what a user has uploaded, a page at a time',
    details: 'Also what is protected. What is quarantined stays blocked.',
    chapter: 'Synapse: users',
    path,
    query,
    answer: object({
      deleted_media: list(string('Media id of what was deleted.')),
      total: integer('How many were deleted.'),
    }),
    refusals: ['bad_request', 'not_found'],
  },
  async (parts, call, given) => {
    const { media } = await pageOfUser(parts, call, given.path.userId, given.query)
    const names = media.map(({ mediaId }) => ({ origin: call.homeserver.name, mediaId }))
    const what = { action: 'purge_user_media', subject: given.path.userId }
    const work = () => deleteNamed(parts, names, { evenProtected: true })
    const gone = await auditedDeletion(parts, actorOf(call), what, work)
    return json({ deleted_media: gone.names.map(({ mediaId }) => mediaId), total: gone.names.length })
  },
)

/** Who has no media may be nobody: that is the homeserver's to say. */
async function pageOfUser(parts: HttpParts, call: Call, uploader: string, asked: Values<typeof query>) {
  requireLocalUser(call, uploader)
  const of = { origin: call.homeserver.name, uploader }
  const total = await countUserMedia(parts.db.read, of)
  if (total === 0 && !(await isKnownUser(questioning(parts, call), uploader))) {
    throw new Refused('not_found', 'Unknown user')
  }
  const isNewestFirst = asked.order_by === null && asked.dir === null
  const page = pageOf(asked)
  const media = await userMedia(parts.db.read, {
    ...of,
    ...page,
    orderBy: columns[asked.order_by ?? 'created_ts'],
    direction: isNewestFirst || asked.dir === 'b' ? 'desc' : 'asc',
  })
  return { media, total, offset: page.offset }
}

function shown(media: UserMedia, uploader: string) {
  return {
    media_id: media.mediaId,
    media_type: media.contentType,
    media_length: media.size,
    upload_name: media.uploadName,
    created_ts: media.createdAt,
    last_access_ts: media.accessedAt,
    url_cache: null,
    quarantined_by: media.quarantinedBy,
    safe_from_quarantine: media.protectedAt !== null,
    authenticated: media.authenticatedAt !== null,
    sha256: media.sha256,
    user_id: uploader,
  }
}
