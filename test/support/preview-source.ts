import { Readable } from 'node:stream'
import type { Source } from '../../src/previews/preview.ts'

/** What an address would give: a body, and what its server says of it. It comes in pieces of a few bytes. */
export function sourceOf(
  body: string | Uint8Array,
  {
    url = 'https://example.org/',
    pieceBytes = 1000,
    ...said
  }: Partial<Omit<Source, 'url' | 'body'>> & { readonly url?: string; readonly pieceBytes?: number } = {},
): Source {
  const bytes = Buffer.from(body)
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
    bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
  )
  const stream = Readable.from(pieces, { objectMode: false })
  return {
    asked: new URL(url),
    url: new URL(url),
    status: 200,
    contentType: '',
    headers: {},
    ...said,
    body: stream,
    [Symbol.asyncDispose]: async () => void stream.destroy(),
  }
}
