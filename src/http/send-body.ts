import type { ServerResponse } from 'node:http'
import type { ByteRange } from '../datastores/datastore.ts'
import { CallerGone } from '../lib/errors.ts'
import type { Call } from './call.ts'

/** Up to this size, in bytes, a body is copied into one piece with its head: that costs less than a second piece. */
const SMALL = 16 * 1024

/** Sends a part of what is in memory, together with whatever else is sent in this turn of the event loop. */
export async function sendBytes(
  { response, turn }: Pick<Call, 'response' | 'turn'>,
  bytes: Buffer,
  { start, end: last }: ByteRange,
): Promise<void> {
  await turn.wait()
  // Who left before will not be heard leaving.
  if (response.destroyed) throw gone()
  if (last - start >= SMALL) return await end(response, bytes.subarray(start, last + 1))
  response.end(bytes.toString('latin1', start, last + 1), 'latin1')
}

/**
 * Sends `length` bytes, or as many as come if that is not known: then in chunks, of which only the last says that it is. Each
 * chunk is handed to the socket before the next is asked for: its buffer is used again. The last one goes with the end of the
 * response; ending after it would cost a small file a second trip through the socket.
 */
export async function sendBody(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  length: number | undefined,
): Promise<void> {
  try {
    let left = length ?? Infinity
    for await (const chunk of chunks) {
      if (response.destroyed) throw gone()
      left -= chunk.length
      await (left > 0 ? write(response, chunk) : end(response, chunk))
    }
    if (length === undefined) await end(response)
    else if (left > 0) throw new Error(`${left} of ${length} bytes did not come`)
  } catch (error) {
    // The head is out: an unfinished body must not look finished.
    response.destroy()
    throw error
  }
}

/** What is written after the connection has ended and before Node says so is never called back for. */
function write(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(gone())
    response.once('close', onClose)
    response.write(chunk, (error) => {
      response.off('close', onClose)
      if (error) reject(gone(error))
      else resolve()
    })
  })
}

function end(response: ServerResponse, chunk?: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    response.once('close', () => (response.writableFinished ? resolve() : reject(gone())))
    response.end(chunk)
  })
}

const gone = (cause?: unknown) => new CallerGone('the connection ended during the download', { cause })
