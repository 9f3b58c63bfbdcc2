import { findMedia } from '../../db/media.ts'
import { standingOf, SYSTEM } from '../../db/user-media.ts'
import { Refused } from '../../lib/errors.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { boolean, integer, object, orNull, string } from '../json-schema.ts'
import { mediaId, serverName } from '../parameters.ts'
import { maySee } from './rights.ts'

/** What Synapse's lists and its answers for single media have in common. */
export const mediaFields = {
  media_id: string('The media id.'),
  media_type: string('The type that its sender gave.'),
  media_length: integer('Bytes.'),
  upload_name: orNull(string('The name that its sender gave.')),
  created_ts: integer('When it was uploaded, or fetched, in ms since 1970.'),
  last_access_ts: orNull(integer('When it was last read, in ms since 1970; at first, when it came.')),
  url_cache: orNull(string('Always null.')),
  quarantined_by: orNull(string('Who quarantined it: a user id, or `system`; null: it is not quarantined.')),
  safe_from_quarantine: orNull(boolean('Whether it is protected; null for media of other servers.')),
  authenticated: boolean('Whether only authenticated callers may have it.'),
  sha256: string('Of its content, in hex.'),
  user_id: orNull(string('Who uploaded it.')),
}

/** `GET media/{origin}/{mediaId}`. */
export const getMedia = described(
  {
    summary: 'Shows what is noted of some media',
    chapter: 'Synapse: media',
    path: {
      server: serverName({ description: 'The server name in the MXC URI.' }),
      mediaId: mediaId({ description: 'The media id in the MXC URI.' }),
    },
    answer: object({
      media_info: object({
        ...mediaFields,
        media_origin: orNull(string('Its server; null: the homeserver addressed.')),
        filesystem_id: orNull(string('Where the copy of media of another server lies in its datastore.')),
      }),
    }),
    refusals: ['not_found'],
  },
  async (parts, call, { path }) => {
    const name = { origin: path.server, mediaId: path.mediaId }
    const [record, standing] = maySee(parts, call, name.origin)
      ? await Promise.all([findMedia(parts.db.read, name.origin, name.mediaId), standingOf(parts.db.read, name)])
      : []
    if (!record || !standing) throw new Refused('not_found', 'Unknown media')
    const isLocal = name.origin === call.homeserver.name
    return json({
      media_info: {
        media_origin: isLocal ? null : record.origin,
        user_id: record.uploader,
        media_id: record.mediaId,
        media_type: record.contentType,
        media_length: record.size,
        upload_name: record.uploadName,
        created_ts: record.createdAt,
        filesystem_id: isLocal ? null : record.location,
        url_cache: null,
        last_access_ts: record.accessedAt,
        quarantined_by: record.quarantinedAt === null ? null : (standing.quarantinedBy ?? SYSTEM),
        authenticated: record.authenticatedAt !== null,
        safe_from_quarantine: isLocal ? standing.protectedAt !== null : null,
        sha256: record.sha256,
      },
    })
  },
)
