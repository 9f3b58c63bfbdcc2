import { countPreviews, type ListedPreview, listPreviews, type PreviewFilter, siteOf } from '../../db/preview-purges.ts'
import { Refused } from '../../lib/errors.ts'
import { userIdOf } from '../../matrix/caller.ts'
import { formatMxc } from '../../matrix/ids.ts'
import { audited } from '../../media/audit.ts'
import { removePreviews } from '../../previews/purge.ts'
import { addressOf, hashOf } from '../../previews/wanted.ts'
import { json } from '../answers.ts'
import { described } from '../described.ts'
import { anyObject, integer, list as listOf, object, string } from '../json-schema.ts'
import { address, moment, text, type Values, whole } from '../parameters.ts'
import { actorOf } from './moderator.ts'

const chapter = 'URL previews'
const PAGE = { usual: 100, most: 1000 }
const which = {
  url: address({ description: 'Of this address.', fallback: null }),
  host: text({ description: 'Of this host and all below it.', fallback: null }),
  before_ts: moment({ description: 'Made before then, in ms since 1970.', fallback: null }),
}
const preview = object(
  {
    homeserver: string('Whose preview it is.'),
    url: string('The address.'),
    language: string('The Accept-Language with which it was fetched.'),
    created_ts: integer('When it was made, in ms since 1970.'),
    fresh_until_ts: integer('Until when it is answered without another look, in ms since 1970.'),
  },
  {
    previewer: string('What found it out: `oembed`, `opengraph`, or `calculated` of a file. Not there for failures.'),
    image: string('MXC URI of its picture.'),
    preview: anyObject('What is answered, but for the address of the picture. Not there for failures.'),
    failure: anyObject('Why there is none: `why`, in one word, and `detail`.'),
  },
)

/** The latest first. Not in MMR. */
export const list = described(
  {
    summary: 'Lists stored previews and failures, the latest first',
    chapter,
    query: {
      ...which,
      from: whole({ description: 'How many to pass over: the `next_token` of the answer before.', fallback: 0 }),
      limit: whole({ description: 'How many at most.', min: 1, max: PAGE.most, fallback: PAGE.usual }),
    },
    answer: object(
      { previews: listOf(preview), total: integer('How many there are.') },
      { next_token: integer('Where the next page begins; not there on the last.') },
    ),
  },
  async ({ db }, _, { query: { from, limit, ...of } }) => {
    const filter = filterOf(of)
    const total = await countPreviews(db.read, filter)
    const found = await listPreviews(db.read, filter, { from, limit })
    const next = from + found.length
    return json({ previews: found.map(shown), total, ...(next < total && found.length > 0 && { next_token: next }) })
  },
)

/** Not in MMR. */
export const purge = described(
  {
    summary: 'Removes stored previews and failures, with their pictures',
    details: 'At least one of the parameters is needed. Once it is answered, no instance answers with them any more.',
    chapter,
    query: which,
    example: { host: 'example.org' },
    answer: object({
      removed: integer('How many were removed.'),
      pictures_removed: integer('How many pictures went with them.'),
    }),
  },
  async (parts, call, { query }) => {
    const filter = filterOf(query)
    if (Object.values(filter).every((value) => value === undefined)) {
      throw new Refused('missing_parameter', 'say which previews: url, host, or before_ts')
    }
    const what = { action: 'purge_previews', subject: query.url ?? query.host ?? '', details: query }
    const { removed, pictures } = await audited(parts, actorOf(call), what, async () => {
      const purged = await removePreviews(parts, filter, userIdOf(call.caller), call.signal)
      return { ...purged, affected: purged.removed }
    })
    return json({ removed, pictures_removed: pictures })
  },
)

function filterOf({ url, host, before_ts: before }: Values<typeof which>): PreviewFilter {
  return {
    urlHash: url === null ? undefined : hashOf(addressOf(url)),
    site: host === null ? undefined : siteOf(hostIn(host)),
    before: before ?? undefined,
  }
}

/** As it stands in addresses: names of other scripts are written in ASCII there. */
function hostIn(host: string): string {
  const url = URL.parse(`http://${host}/`)
  if (!url || url.pathname !== '/' || url.port !== '' || url.username !== '') {
    throw new Refused('bad_parameter', `host must be a host name such as example.org, without port or path: ${host}`)
  }
  return url.hostname
}

function shown(row: ListedPreview) {
  const { homeserver, url, language, previewer, picture, createdAt, expiresAt } = row
  return {
    homeserver,
    url,
    language,
    created_ts: createdAt,
    fresh_until_ts: expiresAt,
    ...(previewer === null ? {} : { previewer }),
    ...(picture === null ? {} : { image: formatMxc({ origin: homeserver, mediaId: picture }) }),
    ...(row.answer === null ? {} : { preview: JSON.parse(row.answer) as unknown }),
    ...(row.error === null ? {} : { failure: JSON.parse(row.error) as unknown }),
  }
}
