import { pipeline, Readable, type Transform } from 'node:stream'
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from 'node:zlib'

export interface BodyOptions {
  /** Most bytes of the body, as it comes and, with `decode`, as it is then. */
  readonly bodyBytes: number
  /**
   * What becomes of a body that is larger, breaks off, or takes too long: it fails, or it ends there without an error. The
   * connection is given up in both cases.
   */
  readonly tooMuch?: 'fails' | 'is cut'
  /** A body that was compressed for the way (`Content-Encoding`) is given as it was before. */
  readonly decode?: boolean
  /** Of whoever asked: its abort is an error for a body that is cut, too. */
  readonly signal?: AbortSignal | undefined
}

/** An answer is larger than whoever asked has use for. */
export class TooMuch extends Error {
  override readonly name = 'TooMuch'
}

/** A body is compressed in a way that nobody here understands. */
export class UnknownCoding extends Error {
  override readonly name = 'UnknownCoding'
}

/** What a server may answer with, for `Accept-Encoding`. */
export const CODINGS = 'gzip, deflate, br, zstd'

/** RFC 9659: what a server may ask of those who read it. What zstd could ask for are 2 GiB. */
const ZSTD_WINDOW_LOG = 23

/**
 * The body of an answer within its bounds. It is decompressed as it is read: of a bomb no more comes to be than is wanted.
 *
 * @throws {TooMuch} when it is known to be too large; else the body ends with it
 * @throws {UnknownCoding} when it is to be decoded, and cannot be
 */
export function boundedBody(
  body: Readable,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  options: BodyOptions,
): Readable {
  const { bodyBytes, decode = false, tooMuch = 'fails' } = options
  try {
    const decoder = decode ? decoderFor(headers['content-encoding']) : undefined
    const length = Number(headers['content-length'] ?? 0)
    if (tooMuch === 'fails' && length > bodyBytes) {
      throw new TooMuch(`the answer has ${length} bytes, and ${bodyBytes} are allowed`)
    }
    const outside = Readable.from(steps(body, decoder, options), { objectMode: false })
    // A generator that has not begun does not end what it would have read, nor does one that waits for more.
    outside.once('close', () => body.on('error', () => {}).destroy())
    return outside
  } catch (error) {
    body.on('error', () => {}).destroy()
    throw error
  }
}

type Chunks = AsyncIterable<Uint8Array>
/** Makes what decompresses a body that begins with this byte; undefined if it is not compressed at all. */
type MakeDecoder = (firstByte: number) => Transform | undefined

function steps(body: Chunks, decoder: MakeDecoder | undefined, options: BodyOptions): Chunks {
  const { bodyBytes, tooMuch, signal } = options
  const bounded = (chunks: Chunks) => (tooMuch === 'is cut' ? cut(chunks, bodyBytes, signal) : upTo(chunks, bodyBytes))
  // A page that breaks off is decompressed as far as it came.
  return decoder ? bounded(decoded(bounded(body), decoder)) : bounded(body)
}

async function* upTo(body: Chunks, most: number): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > most) throw new TooMuch(`the answer has more than the ${most} bytes that are allowed`)
    yield chunk
  }
}

async function* cut(body: Chunks, most: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  let left = most
  try {
    for await (const chunk of body) {
      yield chunk.subarray(0, left)
      left -= chunk.length
      if (left <= 0) return
    }
  } catch (error) {
    if (signal?.aborted) throw error
  }
}

async function* decoded(body: Chunks, makeDecoder: MakeDecoder): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done) return
  const all = joined(first.value, { [Symbol.asyncIterator]: () => chunks })
  const decoder = makeDecoder(first.value[0] ?? 0)
  // Its error comes out of the decoder too.
  if (decoder) pipeline(Readable.from(all, { objectMode: false }), decoder, () => {})
  yield* decoder ?? all
}

async function* joined(first: Uint8Array, others: Chunks): AsyncGenerator<Uint8Array> {
  yield first
  yield* others
}

/** RFC 9110 §8.4.1; one coding only: of two, the inner one could be as large as it likes without a byte coming out. */
function decoderFor(header: string | string[] | undefined): MakeDecoder | undefined {
  const names = [header ?? ''].flat().join(',').toLowerCase().split(',')
  const codings = names.map((name) => name.trim()).filter((name) => name !== '' && name !== 'identity')
  const [coding] = codings
  if (coding === undefined) return undefined
  const decoder = DECODERS.get(coding)
  if (!decoder || codings.length > 1) throw new UnknownCoding(`the answer is compressed as ${codings.join(', ')}`)
  return decoder
}

// What was cut off on the way is decompressed as far as it goes.
const zlib = { finishFlush: constants.Z_SYNC_FLUSH }
const isZlib = (firstByte: number) => (firstByte & 0x0f) === 8
/** Some servers say gzip and send none; no text begins with this byte. */
const gunzip: MakeDecoder = (firstByte) => (firstByte === 0x1f ? createGunzip(zlib) : undefined)
const DECODERS: ReadonlyMap<string, MakeDecoder> = new Map([
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  // RFC 9110 §8.4.1.2: some send it without the wrapping.
  ['deflate', (firstByte: number) => (isZlib(firstByte) ? createInflate(zlib) : createInflateRaw(zlib))],
  ['br', () => createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH })],
  [
    'zstd',
    () =>
      createZstdDecompress({
        finishFlush: constants.ZSTD_e_flush,
        params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
      }),
  ],
] as const)
