import { Buffer } from 'node:buffer'
import type { ServerResponse } from 'node:http'
import { mediaTypeOf } from '../lib/media-type.ts'
import type { MixedAnswer } from './answers.ts'
import type { Call } from './call.ts'
import { COMMON_HEADERS, MEDIA_CACHE_CONTROL, presentedOf } from './headers.ts'
import { sendBody, sendBytes } from './send-body.ts'
import { matches } from './send-file.ts'

type Exchange = Pick<Call, 'request' | 'response' | 'turn'>

/**
 * Sends a file to another homeserver: a JSON part that says nothing yet, then the file, or where it is. Ranges are not offered.
 * Its bytes are what peers are known to read: an empty line first, no parameter behind the boundary or behind `application/json`,
 * and in the place of a file `Location` alone. Sources: specification, "GET /_matrix/federation/v1/media/download/{mediaId}"; RFC
 * 2046 §5.1; docs/decisions/025.
 */
export async function sendMixed(call: Exchange, answer: MixedAnswer, connection: readonly string[]): Promise<void> {
  const { file } = answer
  // Weak: each answer has another boundary.
  const etag = `W/"${file.tag}"`
  const asking = file.mayStill?.()
  if (asking) await asking
  if (matches(call.request.headers['if-none-match'], etag)) {
    call.response.writeHead(304, [...connection, ...COMMON_HEADERS, 'ETag', etag, 'Cache-Control', MEDIA_CACHE_CONTROL])
    call.response.end()
    return
  }
  const linking = file.link?.(() => presentedOf(file))
  const link = linking && (await linking)
  if (linking) await file.mayStill?.()
  if (link) return sendLocation(call.response, answer, link, connection)
  await answer.admit(file.size)
  await file.mayStill?.()
  const head = { envelope: envelopeOf(answer), answer, etag, connection }
  const atHand = file.atHand?.()
  if (atHand) return await sendWhole(call, head, atHand)
  // Opened before the head is written: that the bytes are gone must not show only in the middle of a 200.
  await using opened = await file.open()
  await file.mayStill?.()
  const bytes = file.size === 0 ? Buffer.alloc(0) : opened.bytes
  if (bytes) return await sendWhole(call, head, bytes)
  const length = writeHead(call.response, head)
  await sendBody(call.response, within(head.envelope, opened.read({ start: 0, end: file.size - 1 })), length)
}

/** What is in front of the file, and behind it. */
interface Envelope {
  readonly before: Buffer
  readonly after: Buffer
}

interface Head {
  readonly envelope: Envelope
  readonly answer: MixedAnswer
  readonly etag: string
  readonly connection: readonly string[]
}

/** Up to this size, in bytes, a file is copied into one piece with what is around it. */
const ONE_PIECE = 64 * 1024

async function sendWhole(call: Exchange, head: Head, bytes: Buffer): Promise<void> {
  const length = writeHead(call.response, head)
  const { before, after } = head.envelope
  if (bytes.length > ONE_PIECE) return await sendBody(call.response, within(head.envelope, [bytes]), length)
  await sendBytes(call, Buffer.concat([before, bytes, after]), { start: 0, end: length - 1 })
}

/** Writes the head, and gives the length of the body in bytes. */
function writeHead(response: ServerResponse, { envelope, answer, etag, connection }: Head): number {
  const length = envelope.before.length + answer.file.size + envelope.after.length
  // The name is here too: Dendrite looks for it nowhere else.
  const { disposition, cacheControl } = presentedOf(answer.file)
  response.writeHead(200, [
    ...connection,
    ...COMMON_HEADERS,
    'Content-Type',
    `multipart/mixed; boundary=${answer.boundary}`,
    'Content-Disposition',
    disposition,
    'Content-Length',
    String(length),
    'Cache-Control',
    cacheControl,
    'ETag',
    etag,
  ])
  return length
}

/** Nobody may keep this answer: the address lives for a minute, and who is allowed the file is decided anew each time. */
function sendLocation(
  response: ServerResponse,
  answer: MixedAnswer,
  location: URL,
  connection: readonly string[],
): void {
  const { before, after } = envelopeWith(answer, [`Location: ${location.href}`])
  const body = Buffer.concat([before, after])
  response.writeHead(200, [
    ...connection,
    ...COMMON_HEADERS,
    'Content-Type',
    `multipart/mixed; boundary=${answer.boundary}`,
    'Content-Length',
    String(body.length),
    'Cache-Control',
    'no-store',
  ])
  response.end(body)
}

async function* within({ before, after }: Envelope, file: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
  yield before
  yield* file
  yield after
}

function envelopeOf(answer: MixedAnswer): Envelope {
  const { file } = answer
  // As it was uploaded, so that the other server knows no more and no less than we do.
  const type = mediaTypeOf(file.contentType)
  return envelopeWith(answer, [`Content-Type: ${type}`, `Content-Disposition: ${presentedOf(file).disposition}`])
}

function envelopeWith({ boundary }: MixedAnswer, headers: readonly string[]): Envelope {
  const first = ['', `--${boundary}`, 'Content-Type: application/json', '', '{}']
  const second = [`--${boundary}`, ...headers, '', '']
  const before = Buffer.from([...first, ...second].join('\r\n'), 'latin1')
  return { before, after: Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1') }
}
