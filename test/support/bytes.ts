/** Bytes as they come in, in chunks. */
import { Readable } from 'node:stream'

/** The bytes in chunks of `size`, as they come from a connection. */
export function chunksOf(bytes: Uint8Array, size = 64 * 1024): AsyncIterable<Uint8Array> {
  const chunks: Uint8Array[] = []
  for (let position = 0; position < bytes.length; position += size) {
    chunks.push(bytes.subarray(position, position + size))
  }
  return Readable.from(chunks)
}

/** The same bytes in chunks of all lengths, each overwritten once the next is asked for, as the contract allows. */
export async function* inPieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let position = 0, size = 1; position < chunk.length; position += size, size *= 7) {
      const piece = Buffer.from(chunk.subarray(position, position + size))
      yield piece
      piece.fill(0)
    }
  }
}

/** The chunks as one buffer: copied, because a chunk is only valid until the next one. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  for await (const chunk of chunks) copies.push(Buffer.from(chunk))
  return Buffer.concat(copies)
}
