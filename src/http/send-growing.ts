import type { IncomingMessage } from 'node:http'
import type { ByteRange } from '../datastores/datastore.ts'
import { Refused } from '../lib/errors.ts'
import type { GrowingAnswer } from './answers.ts'
import type { Call } from './call.ts'
import { fileHeaders } from './headers.ts'
import { rangeOf } from './range.ts'
import { sendBody } from './send-body.ts'
import { sendFile } from './send-file.ts'

type Exchange = Pick<Call, 'request' | 'response' | 'signal' | 'turn'>

/**
 * Sends a file as it comes in, or the part of it that is asked for, each byte once it is there. Without an ETag, which is its
 * SHA-256: what is cut off cannot be put together with anything, so no cache keeps it. Requests that this does not answer
 * are answered once the file is stored. A file that does not come to its end ends the connection (docs/decisions/023).
 */
export async function sendGrowing(call: Exchange, file: GrowingAnswer, connection: readonly string[]): Promise<void> {
  using reader = file.reader
  if (needsWhole(call.request, reader.size)) {
    reader[Symbol.dispose]()
    return await sendFile(call, await file.stored(), connection)
  }
  const range = partOf(call.request, file)
  const start = range?.start ?? 0
  // Before the head is out, a file that does not come can be told as an error.
  await reader.reaches(start, call.signal)
  const length = range ? range.end - start + 1 : reader.size
  call.response.writeHead(range ? 206 : 200, [
    ...connection,
    ...fileHeaders(file),
    'Accept-Ranges',
    'bytes',
    ...(length === undefined ? [] : ['Content-Length', String(length)]),
    ...(range ? ['Content-Range', `bytes ${start}-${range.end}/${reader.size}`] : []),
  ])
  await sendBody(call.response, reader.read(range, call.signal), length)
}

/**
 * Whether the answer depends on what is known of the whole file only: its length, or the ETag that the client compares with.
 * HTTP/1.0 has no chunks: a body without a length that is cut off would look whole (and is what nginx asks for by default).
 */
function needsWhole({ method, headers, httpVersion }: IncomingMessage, size: number | undefined): boolean {
  if (method === 'HEAD' || headers['if-none-match'] !== undefined || headers['if-range'] !== undefined) return true
  return size === undefined && (headers.range !== undefined || httpVersion === '1.0')
}

function partOf(
  { headers }: IncomingMessage,
  { reader: { size }, openRangeBytes }: GrowingAnswer,
): ByteRange | undefined {
  if (!headers.range || size === undefined) return undefined
  const range = rangeOf(headers.range, size, openRangeBytes)
  if (range !== 'unsatisfiable') return range
  throw new Refused('range_not_satisfiable', `the file has ${size} bytes`, { contentRange: `bytes */${size}` })
}
