import type { ByteRange } from '../datastores/datastore.ts'
import { Refused } from '../lib/errors.ts'
import type { FileAnswer } from './answers.ts'
import type { Call } from './call.ts'
import { COMMON_HEADERS, fileHeaders, MEDIA_CACHE_CONTROL, presentedOf, varyHeader } from './headers.ts'
import { proxyAnswersAlike } from './offload.ts'
import { rangeOf } from './range.ts'
import { sendRedirect } from './redirect.ts'
import { sendBody, sendBytes } from './send-body.ts'

type Exchange = Pick<Call, 'request' | 'response' | 'turn'>

/**
 * Sends a file, or the part of it that is asked for, as RFC 9110 says: `If-None-Match`, single ranges with `If-Range`, HEAD.
 * The bytes come from us, from the proxy in front of us, or from an address that the client is sent to.
 * Access was decided before; nothing here may answer differently for who is not allowed the file.
 */
export async function sendFile(call: Exchange, file: FileAnswer, connection: readonly string[]): Promise<void> {
  const etag = `"${file.tag}"`
  const { headers, method } = call.request
  const asking = file.mayStill?.()
  if (asking) await asking
  if (matches(headers['if-none-match'], etag)) {
    const { cacheControl = MEDIA_CACHE_CONTROL } = file
    const kept = ['ETag', etag, 'Cache-Control', cacheControl, ...varyHeader(file)]
    call.response.writeHead(304, [...connection, ...COMMON_HEADERS, ...kept])
    call.response.end()
    return
  }
  const range = partOf(call, file, etag)
  const part: ByteRange = range ?? { start: 0, end: file.size - 1 }
  // Not sent elsewhere: all of the head is known here, and links are good for GET only.
  if (method === 'HEAD') {
    writeHead(call, file, { range, part, etag, connection })
    call.response.end()
    return
  }
  const linking = file.link?.(() => presentedOf(file))
  const link = linking && (await linking)
  if (linking) await file.mayStill?.()
  if (link) return sendRedirect(call.response, link, connection)
  const bytes = file.atHand?.()
  if (bytes) {
    writeHead(call, file, { range, part, etag, connection })
    return await sendBytes(call, bytes, part)
  }
  // Opened before the head is written: that the bytes are gone must not show only in the middle of a 200.
  await using opened = await file.open(range)
  await file.mayStill?.()
  if (opened.offload && proxyAnswersAlike(headers, range, etag)) {
    const { header, value } = opened.offload
    // Of the whole file every proxy says itself that it has ranges; nginx says so of a part only if we do.
    const ranges = range ? ['Accept-Ranges', 'bytes'] : []
    const told = [...connection, ...fileHeaders(file), 'ETag', etag, ...ranges, header, value, 'Content-Length', '0']
    call.response.writeHead(200, told)
    call.response.end()
    return
  }
  writeHead(call, file, { range, part, etag, connection })
  if (file.size === 0) call.response.end()
  else if (opened.bytes) await sendBytes(call, opened.bytes, part)
  else await sendBody(call.response, opened.read(part), part.end - part.start + 1)
}

interface Head {
  readonly range: ByteRange | undefined
  readonly part: ByteRange
  readonly etag: string
  readonly connection: readonly string[]
}

function writeHead(call: Exchange, file: FileAnswer, { range, part, etag, connection }: Head): void {
  const headers = [
    ...connection,
    ...fileHeaders(file),
    'ETag',
    etag,
    'Content-Length',
    String(part.end - part.start + 1),
    'Accept-Ranges',
    'bytes',
  ]
  if (range) headers.push('Content-Range', `bytes ${part.start}-${part.end}/${file.size}`)
  call.response.writeHead(range ? 206 : 200, headers)
}

/** The part of the file that is asked for; undefined for the whole. Only GET has ranges (RFC 9110 §14.2). */
function partOf(call: Exchange, file: FileAnswer, etag: string): ByteRange | undefined {
  const { range: header, 'if-range': ifRange } = call.request.headers
  if (!header || call.request.method !== 'GET' || file.size === 0) return undefined
  if (ifRange !== undefined && ifRange !== etag) return undefined
  const range = rangeOf(header, file.size, file.openRangeBytes)
  if (range !== 'unsatisfiable') return range
  const contentRange = `bytes */${file.size}`
  throw new Refused('range_not_satisfiable', `the file has ${file.size} bytes`, { contentRange })
}

/** Whether an `If-None-Match` header names this ETag, by the weak comparison (RFC 9110 §13.1.2). */
export function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  const tag = opaque(etag)
  return header.split(',').some((one) => one.trim() === '*' || opaque(one.trim()) === tag)
}

const opaque = (etag: string) => etag.replace(/^W\//, '')
