import { countPreviews, type ListedPreview, listPreviews, type PreviewFilter, siteOf } from '../db/preview-purges.ts'
import { Refused } from '../lib/errors.ts'
import { userIdOf } from '../matrix/caller.ts'
import { formatMxc } from '../matrix/ids.ts'
import { removePreviews } from '../previews/purge.ts'
import { addressOf, hashOf } from '../previews/wanted.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'

const PAGE = { least: 1, usual: 100, most: 1000 }

/** `GET admin/previews?url=|host=|before_ts=&from=&limit=`: the latest first. Not in MMR. */
export async function list(parts: HttpParts, call: Call): Promise<Answer> {
  const filter = filterOf(call)
  const from = Math.max(0, call.integer('from', 0))
  const limit = Math.min(PAGE.most, Math.max(PAGE.least, call.integer('limit', PAGE.usual)))
  const total = await countPreviews(parts.db.read, filter)
  const found = await listPreviews(parts.db.read, filter, { from, limit })
  const next = from + found.length
  return json({ previews: found.map(shown), total, ...(next < total ? { next_token: next } : {}) })
}

/** `DELETE admin/previews?url=|host=|before_ts=`: gone from all instances when it is answered. Not in MMR. */
export async function purge(parts: HttpParts, call: Call): Promise<Answer> {
  const filter = filterOf(call)
  if (Object.values(filter).every((value) => value === undefined)) {
    throw new Refused('missing_parameter', 'say which previews: url, host, or before_ts')
  }
  const by = userIdOf(call.caller) ?? 'shared secret'
  const { removed, pictures } = await removePreviews(parts, filter, by)
  return json({ removed, pictures_removed: pictures })
}

function filterOf(call: Call): PreviewFilter {
  const url = call.query.get('url')
  const before = call.integer('before_ts', -1)
  return {
    urlHash: url ? hashOf(addressOf(url)) : undefined,
    site: hostOf(call),
    before: before < 0 ? undefined : before,
  }
}

/** As it stands in addresses: names of other scripts are written in ASCII there. */
function hostOf(call: Call): string | undefined {
  const host = call.query.get('host')
  if (!host) return undefined
  const url = URL.parse(`http://${host}/`)
  if (!url || url.pathname !== '/' || url.port !== '' || url.username !== '') {
    throw new Refused('bad_parameter', `host must be a host name such as example.org, without port or path: ${host}`)
  }
  return siteOf(url.hostname)
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
