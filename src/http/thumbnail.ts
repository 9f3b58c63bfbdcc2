import type { HomeserverConfig } from '../config/schema.ts'
import { Refused } from '../lib/errors.ts'
import { mediaAccessed } from '../lib/events.ts'
import { findAllowed } from '../media/download.ts'
import { getThumbnail, openThumbnail } from '../thumbnails/get.ts'
import type { AskedThumbnail } from '../thumbnails/plan.ts'
import { namedPicture } from './accept.ts'
import type { Answer } from './answers.ts'
import type { Call } from './call.ts'
import { fromCache, type Handler, linkFor, passingOn, wantedByCaller, watching } from './download.ts'
import type { HttpParts } from './parts.ts'
import { placeholderFor } from './placeholder.ts'
import type { Query } from './queries.ts'
import type { Endpoint } from './redirect.ts'

/** What to call them, by type. */
const NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries({ png: 'png', jpeg: 'jpg', gif: 'gif', webp: 'webp', avif: 'avif' }).map(([type, extension]) => [
    `image/${type}`,
    `inline; filename=thumbnail.${extension}`,
  ]),
)

/** Larger than any picture; more digits would not be computed with exactly. */
const LARGEST_SIDE = 999_999_999

/** What the queries that come again and again ask for, by the options that they were asked under. */
const KNOWN = new WeakMap<Query, { readonly options: Options; readonly asked: AskedThumbnail }>()

type Options = HomeserverConfig['thumbnails']

/** `GET thumbnail`. Source: specification, "Thumbnails". */
export function thumbnail(endpoint: Endpoint): Handler {
  return async (parts, call) => {
    const asked = thumbnailAsked(call, endpoint)
    try {
      return await answerThumbnail(parts, call, endpoint, asked)
    } catch (error) {
      return await placeholderFor(parts, call, { endpoint, thumbnail: asked }, error)
    }
  }
}

function thumbnailAsked(call: Call, endpoint: Endpoint): AskedThumbnail {
  const options = call.homeserver.thumbnails
  const known = KNOWN.get(call.query)
  const asked = known?.options === options ? known.asked : askedInQuery(call)
  if (asked !== known?.asked) KNOWN.set(call.query, { options, asked })
  const stillAs = isNegotiated(call, endpoint) ? namedPicture(call.request.headers.accept) : undefined
  return stillAs ? { ...asked, stillAs } : asked
}

function askedInQuery(call: Call): AskedThumbnail {
  const { defaultAnimated } = call.homeserver.thumbnails
  return {
    width: side(call, 'width'),
    height: side(call, 'height'),
    method: method(call),
    animated: call.flag('animated', call.flag('org.matrix.msc2705.animated', defaultAnimated)),
  }
}

/** Other servers pass on what they get to clients of all kinds. */
function isNegotiated({ homeserver }: Call, endpoint: Endpoint): boolean {
  return homeserver.thumbnails.negotiate && endpoint !== 'federation'
}

async function answerThumbnail(
  parts: HttpParts,
  call: Call,
  endpoint: Endpoint,
  asked: AskedThumbnail,
): Promise<Answer> {
  const link = linkFor(parts, call, endpoint)
  const media = await wantedByCaller(parts, call, endpoint)
  const mayStill = watching(parts, media)
  const record = await findAllowed(parts, call, media)
  mediaAccessed(parts.events, { ageMs: parts.clock.now() - record.createdAt })
  const made = await getThumbnail(parts, call, record, asked)
  return {
    kind: 'file',
    size: made.size,
    tag: made.sha256,
    contentType: made.contentType,
    disposition: NAMES.get(made.contentType) ?? 'inline; filename=thumbnail',
    ...(isNegotiated(call, endpoint) ? { vary: 'Accept' as const } : {}),
    fileName: null,
    mayStill,
    ...passingOn(record, (present) => link(made, present)),
    atHand: () => made.bytes ?? parts.cache.get(made)?.bytes,
    open: (part) => openThumbnail({ ...parts, opening: fromCache(parts) }, call, { media: record, asked, made }, part),
    openRangeBytes: 0,
  }
}

function side(call: Call, name: 'width' | 'height'): number {
  const text = call.query.get(name)
  if (text === null || text === '') throw new Refused('bad_request', 'Width and height are required')
  if (!/^\d+$/.test(text) || Number(text) === 0) {
    throw new Refused('bad_request', `${name} must be a whole number of pixels greater than zero`)
  }
  // As much as that means: the largest there is.
  return Math.min(Number(text), LARGEST_SIDE)
}

function method(call: Call): 'crop' | 'scale' {
  const text = call.query.get('method') || 'scale'
  if (text === 'crop' || text === 'scale') return text
  throw new Refused('bad_request', 'method must be crop or scale')
}
