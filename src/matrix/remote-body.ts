import { asTheyCame } from '../lib/chunks.ts'
import { mediaTypeOf } from '../lib/media-type.ts'
import type { RemoteBody, RemoteWish } from './federation.ts'
import type { OriginResponse } from './origins.ts'
import type { Patience } from './patience.ts'
import { RemoteMediaError } from './remote-error.ts'
import { failureOf } from './remote-failure.ts'
import { fileNameIn, headerText } from './remote-file-name.ts'

/** A file that has been found, before anybody reads it. */
export interface FoundFile extends Omit<RemoteBody, 'body'> {
  /** Where it comes from, for the log. */
  readonly from: string
  readonly chunks: AsyncIterable<Uint8Array>
}

/**
 * The file that an answer's body is.
 *
 * @throws {RemoteMediaError} `broken` when it is compressed, which nobody asked for: the bytes would not be the file's
 */
export function plainFile({ headers, body }: Pick<OriginResponse, 'headers' | 'body'>, from: string): FoundFile {
  checkEncoding(headers, from)
  const disposition = first(headers['content-disposition'])
  return {
    from,
    contentType: mediaTypeOf(first(headers['content-type'])),
    fileName: fileNameIn(disposition && headerText(disposition)),
    size: bytesIn(first(headers['content-length'])),
    about: undefined,
    chunks: asTheyCame(body),
  }
}

/** @throws {RemoteMediaError} `broken` when an answer is compressed */
export function checkEncoding(headers: OriginResponse['headers'], from: string): void {
  const encoding = first(headers['content-encoding'])?.trim().toLowerCase()
  if (!encoding || encoding === 'identity') return
  throw new RemoteMediaError('broken', `${from} is compressed (Content-Encoding: ${encoding}), which was not asked for`)
}

/** A header's value; of several, the first. */
export function first(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0]
}

/** A length in bytes; undefined if it is none. */
export function bytesIn(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,16}$/.test(header)) return undefined
  const bytes = Number(header)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/**
 * The file to be read by whoever wished for it. Its end is the end of their patience too.
 *
 * @throws {RemoteMediaError} `too_large` when it says that it is larger than wished for
 */
export function remoteBody(found: FoundFile, wish: RemoteWish, patience: Patience): RemoteBody {
  const { contentType, fileName, size, about, from } = found
  const least = size ?? about?.atLeast ?? 0
  if (wish.maxBytes > 0 && least > wish.maxBytes)
    throw tooLarge(from, `${size === undefined ? 'at least ' : ''}${least} bytes`, wish)
  const bytes = checked(found, wish, patience)
  const body = { [Symbol.asyncIterator]: () => bytes, destroy: () => patience.end() }
  return { contentType, fileName, size, about, body }
}

/** The bytes, as long as they are as many as was said and wished for. */
async function* checked(
  { chunks, size, from }: FoundFile,
  wish: RemoteWish,
  patience: Patience,
): AsyncGenerator<Uint8Array> {
  let received = 0
  try {
    for await (const chunk of chunks) {
      received += chunk.length
      if (wish.maxBytes > 0 && received > wish.maxBytes) throw tooLarge(from, 'more', wish)
      if (size !== undefined && received > size) throw otherSize(from, size, 'more')
      yield chunk
    }
  } catch (error) {
    if (wish.signal.aborted) throw wish.signal.reason
    throw failureOf(error, 'reading', `${from} broke off after ${received} bytes`)
  } finally {
    patience.end()
  }
  if (size !== undefined && received < size) throw otherSize(from, size, `${received} bytes`)
}

function tooLarge(from: string, found: string, { maxBytes }: RemoteWish): RemoteMediaError {
  return new RemoteMediaError('too_large', `${from} has ${found}, and ${maxBytes} are allowed (downloads.maxBytes)`)
}

function otherSize(from: string, said: number, found: string): RemoteMediaError {
  return new RemoteMediaError('broken', `${from} was said to have ${said} bytes, and has ${found}`)
}
