import { Refused } from '../lib/errors.ts'
import { uploaded } from '../lib/events.ts'
import { bareFileName } from '../lib/file-name.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import { userIdOf } from '../matrix/caller.ts'
import { formatMxc, isMediaId } from '../matrix/ids.ts'
import * as pending from '../media/pending.ts'
import * as uploads from '../media/upload.ts'
import { describe } from '../thumbnails/describe.ts'
import type { BlurhashOptions } from '../thumbnails/job.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import { blurhashOptions } from './info.ts'
import type { HttpParts } from './parts.ts'

/** `POST upload`. Source: specification, "POST /_matrix/media/v3/upload". */
export async function upload(parts: HttpParts, call: Call): Promise<Answer> {
  const began = parts.clock.now()
  const received = incoming(call)
  const blurhash = blurhashWanted(call)
  const stored = await uploads.receive(parts, call, received)
  tell(parts, call, stored, { contentType: received.contentType, began })
  thumbnailsAfterAnswer(parts, call, stored)
  return json({ content_uri: formatMxc(stored), ...(await blurhashFor(parts, call, stored, blurhash)) })
}

/** `POST create`: a media id now, its content later. Source: MSC2246. */
export async function create(parts: HttpParts, call: Call): Promise<Answer> {
  parts.requestLimits.admitCreation(call)
  const created = await pending.create(parts, call, userIdOf(call.caller) ?? '')
  return json({ content_uri: formatMxc(created), unused_expires_at: created.expiresAt })
}

/** `PUT upload`: the content of a reserved media id. Source: MSC2246. */
export async function fill(parts: HttpParts, call: Call): Promise<Answer> {
  const mediaId = call.param('mediaId')
  if (call.param('server') !== call.homeserver.name) {
    throw new Refused('wrong_domain', 'Upload request is for another domain.')
  }
  if (!isMediaId(mediaId)) throw new Refused('not_found', 'Media expired or not found.')
  const began = parts.clock.now()
  const blurhash = blurhashWanted(call)
  const stored = await uploads.fill(parts, call, mediaId, () => incoming(call))
  tell(parts, call, stored, { contentType: mediaTypeOf(call.request.headers['content-type']), began })
  thumbnailsAfterAnswer(parts, call, stored)
  return json(await blurhashFor(parts, call, stored, blurhash))
}

/** Makes thumbnails in advance, where that is wanted, once the uploader has its answer. */
function thumbnailsAfterAnswer(parts: HttpParts, call: Call, { origin, mediaId }: uploads.Uploaded): void {
  if (!call.homeserver.thumbnails.preGenerate) return
  call.response.once('close', () => {
    parts.records
      .find(origin, mediaId)
      .then((record) => record && parts.preGeneration.add(parts, call, record))
      .catch((error: unknown) => call.log.warn({ err: error, mediaId }, 'could not make thumbnails of an upload'))
  })
}

/** How a blurhash is to be made of what comes; undefined for none. Read before it comes: what is refused for it must not be stored. */
function blurhashWanted(call: Call): BlurhashOptions | undefined {
  const options = blurhashOptions(call)
  return options && call.flag('xyz.amorgan.generate_blurhash', false) ? options : undefined
}

/**
 * The blurhash of what was uploaded, for senders that ask for it. The upload has succeeded by then, whatever comes of this.
 * Source: MSC2448, under its unstable name, as in MMR 1.2.
 */
async function blurhashFor(
  parts: HttpParts,
  call: Call,
  { origin, mediaId }: uploads.Uploaded,
  options: BlurhashOptions | undefined,
): Promise<{ 'xyz.amorgan.blurhash'?: string }> {
  if (!options) return {}
  try {
    const record = await parts.records.find(origin, mediaId)
    const { blurhash } = record ? await describe(parts, call, record, options) : { blurhash: null }
    return blurhash === null ? {} : { 'xyz.amorgan.blurhash': blurhash }
  } catch (error) {
    const isExpected = error instanceof Refused && error.reason === 'not_thumbnailable'
    if (!isExpected) call.log.warn({ err: error, mediaId }, 'no blurhash could be made of an upload')
    return {}
  }
}

function tell(
  parts: HttpParts,
  call: Call,
  { mediaId, size }: uploads.Uploaded,
  { contentType, began }: { readonly contentType: string; readonly began: number },
): void {
  uploaded(
    { ...parts.events, log: call.log },
    {
      host: call.homeserver.name,
      mediaId,
      userId: userIdOf(call.caller) ?? '',
      bytes: size,
      contentType,
      durationMs: parts.clock.now() - began,
    },
  )
}

function incoming(call: Call): uploads.Incoming {
  const { headers } = call.request
  const contentType = headers['content-type']
  // Synapse's CVE-2024-52805: a form is not the file in it, and would be stored with its boundaries.
  if (contentType && /^\s*multipart\/form-data\b/i.test(contentType)) {
    throw new Refused('multipart_refused', 'send the file itself as the body, not a multipart/form-data form')
  }
  const length = headers['content-length']
  return {
    body: call.body(),
    expectedBytes: length === undefined ? undefined : Number(length),
    contentType: mediaTypeOf(contentType),
    uploadName: uploadName(call.query.get('filename')),
  }
}

const LONGEST_NAME = 255

/** The name to record, null for none. MMR records `.` there, which is no name. */
function uploadName(given: string | null): string | null {
  const name = bareFileName(given ?? '')
  if (name !== null && name.length > LONGEST_NAME) {
    throw new Refused('bad_parameter', `filename has ${name.length} characters; ${LONGEST_NAME} are allowed`)
  }
  return name
}
