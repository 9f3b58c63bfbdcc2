import { Buffer } from 'node:buffer'
import { pipeline } from 'node:stream/promises'
import { crc32, createDeflateRaw } from 'node:zlib'

const FNAME = 0x08
const UNKNOWN_SYSTEM = 0xff
/** Pictures and films are compressed already: trying harder costs a core and gains nothing. */
const FASTEST = 1

/** Compresses with the name of what is inside written before it, as MMR does and Node's own gzip cannot (RFC 1952). */
export async function* gzipNamed(name: string, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const deflate = createDeflateRaw({ level: FASTEST })
  const seen = { crc: 0, bytes: 0 }
  const flow = pipeline(counted(source, seen), deflate)
  // Who stops reading stops it too; what broke is thrown by the stream itself.
  flow.catch(() => {})
  yield Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, FNAME, 0, 0, 0, 0, 0, UNKNOWN_SYSTEM]),
    Buffer.from(`${name}\0`, 'latin1'),
  ])
  yield* deflate
  await flow
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(seen.crc, 0)
  trailer.writeUInt32LE(seen.bytes % 2 ** 32, 4)
  yield trailer
}

async function* counted(source: AsyncIterable<Uint8Array>, seen: { crc: number; bytes: number }) {
  for await (const chunk of source) {
    seen.crc = crc32(chunk, seen.crc)
    seen.bytes += chunk.length
    yield chunk
  }
}
