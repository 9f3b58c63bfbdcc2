import { type ListedMedia, mediaNamed, mediaPage } from '../../db/usage-lists.ts'
import type { Usage } from '../../db/usage.ts'
import { userStatistics } from '../../db/user-statistics.ts'
import { Refused } from '../../lib/errors.ts'
import { formatMxc, type Mxc } from '../../matrix/ids.ts'
import { FROM_THE_BEGINNING, serverUsage, usersUsage, type UserUploads } from '../../media/usage.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { boolean, integer, list, map, object, string } from '../json-schema.ts'
import { each, moment, mxc, oneOf, serverName, text, userId, whole } from '../parameters.ts'
import { listAnswer, placeFrom, placeText } from './paging.ts'

const chapter = 'Usage'
const path = { serverName: serverName({ description: 'The server name in the MXC URIs.' }) }
const bytesAndCounts = (members: Readonly<Record<string, string>>) => ({
  raw_bytes: object(
    Object.fromEntries(Object.entries(members).map(([name, what]) => [name, integer(`Bytes of ${what}.`)])),
  ),
  raw_counts: object(
    Object.fromEntries(Object.entries(members).map(([name, what]) => [name, integer(`Number of ${what}.`)])),
  ),
})
const LISTED = 1000

/** MMR's: what a server's media and their thumbnails use. */
export const ofServer = described(
  {
    summary: "Says what a server's media use",
    details:
      'Every media counts, also where several have the same content. Thumbnails count for the server for whose media they were first made.',
    chapter,
    path,
    answer: object(bytesAndCounts({ total: 'both', media: 'media', thumbnails: 'thumbnails' })),
  },
  async ({ db }, _, given) => {
    const { media, thumbnails } = await serverUsage(db, given.path.serverName)
    const told = (of: keyof Usage) => ({
      total: media[of] + thumbnails[of],
      media: media[of],
      thumbnails: thumbnails[of],
    })
    return json({ raw_bytes: told('bytes'), raw_counts: told('files') })
  },
)

const user = object(
  {
    ...bytesAndCounts({ total: 'media', media: 'media' }),
    uploaded: list(string('MXC URI; the oldest is the first.')),
  },
  { uploaded_next: string('There are more uploads: `uploaded_from` for those that come next.') },
)

/** MMR's: what users have of a server's media. */
export const ofUsers = described(
  {
    summary: "Says what users have of a server's media, and lists it",
    details: 'Users who have nothing are left out. One answer has at most 10,000 uploads.',
    chapter,
    path,
    query: {
      user_id: each(userId({ description: 'Only these users; may be given several times. All, if not given.' })),
      limit: whole({ description: 'How many users, if none is named.', min: 1, max: LISTED, fallback: 100 }),
      from: userId({ description: 'Only users whose ids come after this one, if none is named.', fallback: '' }),
      uploaded_limit: whole({ description: 'How many uploads of each user.', max: 10_000, fallback: LISTED }),
      uploaded_from: text({
        description: 'Only uploads that come after this: `uploaded_next` of an answer.',
        fallback: '',
      }),
    },
    answer: map(user),
    linksToMore: true,
  },
  async ({ db }, call, given) => {
    const { user_id: userIds, limit, from, uploaded_limit: most, uploaded_from: place } = given.query
    const server = given.path.serverName
    const after = place === '' ? FROM_THE_BEGINNING : placeFrom('uploaded_from', place)
    const uploads = { after, limit: most }
    const users = await usersUsage(db, { server, userIds, after: from, limit, uploads }, call.signal)
    const body = Object.fromEntries(users.map((one) => [one.userId, shownUser(server, one)]))
    const last = userIds.length === 0 && users.length === limit ? users.at(-1) : undefined
    return listAnswer(call, body, last && { from: last.userId })
  },
)

function shownUser(origin: string, { bytes, files, uploads, more }: UserUploads) {
  return {
    raw_bytes: { total: bytes, media: bytes },
    raw_counts: { total: files, media: files },
    uploaded: uploads.map(({ mediaId }) => formatMxc({ origin, mediaId })),
    ...(more ? { uploaded_next: placeText(more) } : {}),
  }
}

const STATISTICS_ORDER = { user_id: 'user_id', media_count: 'files', media_length: 'bytes' } as const

/** MMR's, the same as Synapse's statistics. MMR takes only `dir=b`, and gives 50 users at most. */
export const usersStats = described(
  {
    summary: 'Lists users by what they uploaded',
    details: 'Only users of whom there is something. Administrators of a homeserver may ask for their own.',
    chapter,
    path,
    query: {
      order_by: oneOf(['user_id', 'media_count', 'media_length'], {
        description: 'What decides.',
        fallback: 'user_id' as const,
      }),
      dir: oneOf(['f', 'b'], { description: '`f`: the least first; `b`: the most first.', fallback: 'f' }),
      from: whole({ description: 'How many users to pass over: `next_token` of an answer.', fallback: 0 }),
      limit: whole({ description: 'How many users.', min: 1, max: LISTED, fallback: 100 }),
      from_ts: moment({ description: 'Only what was uploaded then or later, in ms since 1970.', fallback: null }),
      until_ts: moment({ description: 'Only what was uploaded then or earlier, in ms since 1970.', fallback: null }),
      search_term: text({ description: 'Only users with this in their local part.', fallback: null }),
    },
    answer: object(
      {
        users: list(
          object({
            user_id: string('User id.'),
            displayname: string('The user id too: the repository knows no display names.'),
            media_count: integer('Number of media.'),
            media_length: integer('Their bytes.'),
          }),
        ),
        total: integer('How many users there are in all.'),
      },
      { next_token: integer('There are more users: `from` for those that come next.') },
    ),
  },
  async ({ db }, call, given) => {
    const { serverName: server } = given.path
    if (call.administers === 'homeserver' && server !== call.homeserver.name) {
      throw new Refused('forbidden', `Administrators of ${call.homeserver.name} may not ask for users of ${server}`)
    }
    const { order_by, dir, from, limit, from_ts: since, until_ts: until, search_term: search } = given.query
    if (since !== null && until !== null && until <= since) {
      throw new Refused('bad_parameter', 'until_ts must be more than from_ts')
    }
    const order = { orderBy: STATISTICS_ORDER[order_by], descending: dir === 'b' }
    const page = await userStatistics(db, { server, ...order, from, limit, since, until, search }, call.signal)
    const next = from + page.users.length
    return json({
      users: page.users.map(({ userId: id, files, bytes }) => ({
        user_id: id,
        displayname: id,
        media_count: files,
        media_length: bytes,
      })),
      ...(page.users.length > 0 && next < page.total ? { next_token: next } : {}),
      total: page.total,
    })
  },
)

/** MMR's: what is known of uploads. */
export const ofUploads = described(
  {
    summary: 'Shows what is known of media of a server, oldest first',
    details: 'Media that there are none of are left out.',
    chapter,
    path,
    query: {
      mxc: each(mxc({ description: 'Only these MXC URIs; may be given several times. All, if not given.' })),
      limit: whole({ description: 'How many media, if none is named.', min: 1, max: 10_000, fallback: LISTED }),
      from: text({ description: 'Where to go on, if none is named: as in the `Link` of an answer.', fallback: '' }),
    },
    answer: map(
      object({
        size_bytes: integer('Bytes.'),
        uploaded_by: string('User id; empty: nobody here.'),
        datastore_id: string('Id of the datastore.'),
        datastore_location: string('Where it is there.'),
        sha256_hash: string('Lower-case hexadecimal.'),
        quarantined: boolean('Whether it is quarantined.'),
        upload_name: string('File name; empty: none.'),
        content_type: string('As it was uploaded.'),
        created_ts: integer('When it was uploaded or fetched, in ms since 1970.'),
      }),
    ),
    linksToMore: true,
  },
  async ({ db }, call, given) => {
    const { mxc: named, limit, from } = given.query
    const server = given.path.serverName
    const mediaIds = idsOf(server, named)
    const after = from === '' ? FROM_THE_BEGINNING : placeFrom('from', from)
    const found =
      named.length > 0
        ? await mediaNamed(db.read, { server, mediaIds })
        : await mediaPage(db.read, { server, after, limit })
    const body = Object.fromEntries(
      found.map((media) => [formatMxc({ origin: server, mediaId: media.mediaId }), shownMedia(media)]),
    )
    const last = named.length === 0 && found.length === limit ? found.at(-1) : undefined
    return listAnswer(call, body, last && { from: placeText({ at: last.createdAt, mediaId: last.mediaId }) })
  },
)

function idsOf(server: string, named: readonly Mxc[]): string[] {
  const other = named.find(({ origin }) => origin !== server)
  if (other) throw new Refused('bad_parameter', `mxc ${formatMxc(other)} is not of ${server}`)
  return named.map(({ mediaId }) => mediaId)
}

function shownMedia(media: ListedMedia) {
  return {
    size_bytes: media.size,
    uploaded_by: media.uploader ?? '',
    datastore_id: media.datastore,
    datastore_location: media.location,
    sha256_hash: media.sha256,
    quarantined: media.quarantinedAt !== null,
    upload_name: media.uploadName ?? '',
    content_type: media.contentType,
    created_ts: media.createdAt,
  }
}
