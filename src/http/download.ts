import type { Presented } from '../datastores/datastore.ts'
import type { MediaRecord } from '../db/media.ts'
import type { StoredObject } from '../db/objects.ts'
import { Refused } from '../lib/errors.ts'
import { mediaAccessed } from '../lib/events.ts'
import { USER_AGENT } from '../matrix/client.ts'
import { isMediaId, isServerName } from '../matrix/ids.ts'
import {
  findOrFetch,
  linkTo,
  openObject,
  refuseIfChanged,
  refuseLost,
  type Wanted,
  type Watched,
  whole,
} from '../media/download.ts'
import type { Answer, FileAnswer } from './answers.ts'
import { identifyIfPossible, isRepositoryAdmin } from './auth.ts'
import type { Call } from './call.ts'
import { dispositionOf } from './headers.ts'
import type { HttpParts } from './parts.ts'
import { placeholderFor } from './placeholder.ts'
import { asksForQuarantined, requireBypass } from './quarantine-bypass.ts'
import { type Endpoint, mayRedirect } from './redirect.ts'

const DEFAULT_TIMEOUT_MS = 20_000
const LONGEST_TIMEOUT_MS = 60_000
export type Handler = (parts: HttpParts, call: Call) => Promise<Answer>

/** `GET download`, on authenticated and legacy paths alike. Source: specification, "Content repository". */
export function download(endpoint: Endpoint): Handler {
  return (parts, call) =>
    answerDownload(parts, call, endpoint).catch((error: unknown) => placeholderFor(parts, call, { endpoint }, error))
}

async function answerDownload(parts: HttpParts, call: Call, endpoint: Endpoint): Promise<Answer> {
  const link = linkFor(parts, call, endpoint)
  const asked = await wantedByCaller(parts, call, endpoint)
  const mayStill = watching(parts, asked)
  const found = await findOrFetch(parts, call, asked)
  if (found.kind === 'stored') {
    refuseLost(parts, call, found.record)
    mediaAccessed(parts.events, { ageMs: parts.clock.now() - found.record.createdAt })
    return { ...fileAnswer(parts, call, link, found.record), mayStill }
  }
  mediaAccessed(parts.events, { ageMs: 0 })
  const stored = async () => ({ ...fileAnswer(parts, call, link, await whole(found, call)), mayStill })
  const { contentType, fileName, growing } = found.file
  const reader = await growing.join(call.signal)
  // Small ones are sent once they are stored, with all that is known of them then.
  if (!reader) return await stored()
  return {
    kind: 'growing',
    contentType,
    disposition: dispositionOf(contentType),
    fileName: call.params['fileName'] || fileName,
    openRangeBytes: call.homeserver.downloads.defaultRangeChunkSizeBytes,
    reader,
    stored,
  }
}

function fileAnswer(parts: HttpParts, call: Call, link: ReturnType<typeof linkFor>, record: MediaRecord): FileAnswer {
  return {
    kind: 'file',
    size: record.size,
    tag: record.sha256,
    contentType: record.contentType,
    disposition: dispositionOf(record.contentType),
    fileName: call.params['fileName'] || record.uploadName,
    ...passingOn(record, (present) => link(record, present)),
    atHand: () => parts.cache.get(record)?.bytes,
    open: (part) => openObject(fromCache(parts), call, record, part),
    openRangeBytes: call.homeserver.downloads.defaultRangeChunkSizeBytes,
  }
}

/** Looks at the record again once any media have changed: from before it is found the first time. */
export function watching(parts: HttpParts, asked: Watched): NonNullable<FileAnswer['mayStill']> {
  const isStill = parts.records.watch()
  return () => (isStill() ? undefined : refuseIfChanged(parts, asked))
}

/** What an administrator sees although it is quarantined is kept nowhere on the way, and has no address but ours. */
export function passingOn(
  record: MediaRecord,
  link: NonNullable<FileAnswer['link']>,
): Pick<FileAnswer, 'link' | 'cacheControl'> {
  return record.quarantinedAt === null ? { link } : { cacheControl: 'private, no-store' }
}

/** Gives the address of an object to whoever may be sent there. */
export function linkFor(parts: HttpParts, call: Call, endpoint: Endpoint) {
  const allowRedirect = endpoint === 'legacy' && call.flag('allow_redirect', false)
  return (object: StoredObject, present: () => Presented) =>
    linkTo(parts, object, present, (rules) => mayRedirect({ endpoint, allowRedirect }, rules))
}

/** Objects are opened through the cache. */
export const fromCache = ({ cache, db, lost }: HttpParts) => ({ datastores: cache, db, lost })

/** What a caller asks for, with what administrators alone may see. Whoever is none of them and asks for that is refused. */
export async function wantedByCaller(parts: HttpParts, call: Call, endpoint: Endpoint): Promise<Wanted> {
  const asked = wanted(parts, call, endpoint)
  if (!asksForQuarantined(call, endpoint)) return asked
  await requireBypass(parts, call, asked.origin)
  return { ...asked, seesQuarantined: true }
}

/** What a caller asks for, and what it may see. */
export function wanted(parts: HttpParts, call: Call, endpoint: Endpoint): Wanted {
  // Other homeservers get what is of the one that they address.
  const origin = endpoint === 'federation' ? call.homeserver.name : call.param('server')
  const mediaId = call.param('mediaId')
  if (!isServerName(origin) || !isMediaId(mediaId)) throw new Refused('not_found', 'Not found')
  const timeout = call.integer('timeout_ms', DEFAULT_TIMEOUT_MS)
  return {
    origin,
    mediaId,
    isAuthenticated: async () => (await identifyIfPossible(parts, call)).kind !== 'anonymous',
    seesHiddenHosts: async () => isRepositoryAdmin(call.main, await identifyIfPossible(parts, call)),
    isHostAllowed: call.isHostAllowed,
    mayFetch: mayFetch(call, endpoint),
    timeoutMs: timeout <= 0 ? DEFAULT_TIMEOUT_MS : Math.min(timeout, LONGEST_TIMEOUT_MS),
  }
}

/**
 * Others get from us what is ours, also a Cellarium (this one, maybe) that was sent to an older path by a third server: else each
 * file there could lead us to the next, without an end. The newer endpoints of clients have no such parameter.
 */
function mayFetch(call: Call, endpoint: Endpoint): boolean {
  if (endpoint === 'federation' || call.request.headers['user-agent'] === USER_AGENT) return false
  return endpoint === 'client' || call.flag('allow_remote', true)
}
