import { Readable } from 'node:stream'
import type { StagedFile, StageOptions } from '../datastores/staging.ts'
import { messagesOf, Refused, Unavailable } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { dataOf } from './data-url.ts'
import { type FetchingOptions, get, type PreviewFetchParts, refusedBy, type Wish } from './fetch.ts'
import type { Picture } from './preview.ts'

export interface PictureParts extends PreviewFetchParts {
  readonly log: Pick<Log, 'debug'>
  /** Finds out what a file is, in a process of its own; refuses what is no picture. */
  readonly lookAt: (path: string, options: PictureOptions['thumbnails'], signal: AbortSignal) => Promise<Seen>
  /** Receives into a file of the datastore that is going to keep the picture. */
  readonly stage: (source: AsyncIterable<Uint8Array>, options: StageOptions) => Promise<StagedFile>
}

interface Seen {
  /** What the bytes are, whatever they were called. */
  readonly contentType: string
  /** Upright, in pixels. */
  readonly width: number
  readonly height: number
}

/** What of a homeserver's configuration concerns pictures. */
export interface PictureOptions extends FetchingOptions {
  readonly downloads: { readonly maxBytes: number }
  readonly thumbnails: {
    readonly types: readonly string[]
    readonly maxPixels: number
    readonly maxSourceBytes: number
  }
}

/** A picture that is here: still to be stored. Disposing it deletes it, unless its file was used. */
export interface FetchedPicture extends Seen, AsyncDisposable {
  readonly staged: StagedFile
  /** In bytes. */
  readonly size: number
  /** What the page says that is to be seen. */
  readonly alt?: string | undefined
}

const ACCEPT = 'image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8'
/** Pictures for previews are shared by everybody who sees the link, and shown small. */
const MAX_BYTES = 10 * 1024 * 1024
const TRIED_AT_MOST = 3
/** Below it a picture is a pixel that counts visitors, a line, a corner. */
const LEAST_SIDE = 10

/**
 * The first of some pictures (three are tried) that is one: not too many bytes or pixels, of a type that `thumbnails.types` lets be
 * decoded, and large enough to be seen. All together may take `timeouts.urlPreviewTimeoutSeconds`. Undefined if none of them will do: a
 * preview does without then.
 *
 * @throws {Unavailable} when nothing can be stored; Refused `limited` when too much is being decoded
 * @throws the signal's reason, when it aborts
 */
export async function fetchPicture(
  parts: PictureParts,
  options: PictureOptions,
  pictures: readonly Picture[],
  wish: Omit<Wish, 'accept'>,
): Promise<FetchedPicture | undefined> {
  const until = parts.clock.now() + options.timeouts.urlPreviewTimeoutSeconds * 1000
  const byAddress = new Map(pictures.toReversed().map((picture) => [picture.url.href, picture]))
  for (const { url, alt } of [...byAddress.values()].toReversed().slice(0, TRIED_AT_MOST)) {
    const totalMs = until - parts.clock.now()
    if (totalMs <= 0) return undefined
    try {
      await using opened = await open(parts, options, url, { ...wish, totalMs })
      return { ...(await receivePicture(parts, options, opened.bytes, wish.signal)), alt }
    } catch (error) {
      wish.signal.throwIfAborted()
      if (error instanceof Unavailable || (error instanceof Refused && error.reason === 'limited')) throw error
      parts.log.debug({ host: url.host, reasons: messagesOf(error) }, 'a picture for a preview will not do')
    }
  }
  return undefined
}

/**
 * Receives a picture and has it looked at, in a process of its own. What anybody said of its type and size is not asked.
 *
 * @throws Refused `too_large`, `not_thumbnailable`, or `limited`
 */
async function receivePicture(
  parts: Pick<PictureParts, 'stage' | 'lookAt'>,
  options: PictureOptions,
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<FetchedPicture> {
  await using owned = new AsyncDisposableStack()
  const staged = owned.use(await parts.stage(source, { maxBytes: mostBytes(options) }))
  const { contentType, width, height } = await parts.lookAt(staged.path, options.thumbnails, signal)
  if (Math.min(width, height) < LEAST_SIDE) {
    throw new Refused('not_thumbnailable', `A picture of ${width} × ${height} pixels is none to look at`)
  }
  const mine = owned.move()
  const { size } = staged
  return { staged, contentType, width, height, size, [Symbol.asyncDispose]: () => mine.disposeAsync() }
}

/** In bytes: 10 MiB, or `downloads.maxBytes` if that is less. */
function mostBytes({ downloads: { maxBytes } }: PictureOptions): number {
  return maxBytes > 0 ? Math.min(maxBytes, MAX_BYTES) : MAX_BYTES
}

interface Opened extends AsyncDisposable {
  readonly bytes: AsyncIterable<Uint8Array>
}

async function open(
  parts: PictureParts,
  options: PictureOptions,
  url: URL,
  wish: Omit<Wish, 'accept'> & { readonly totalMs: number },
): Promise<Opened> {
  const bodyBytes = mostBytes(options)
  if (url.protocol === 'data:') {
    const data = dataOf(url, bodyBytes)
    if (!data) throw new Refused('too_large', `pictures may have ${bodyBytes} bytes at most`)
    return { bytes: Readable.from([data]), [Symbol.asyncDispose]: async () => {} }
  }
  const response = await get(parts, options.urlPreviews, url, { ...wish, accept: ACCEPT, bodyBytes })
  if (response.status !== 200) throw refusedBy(response)
  const { body } = response
  // Also if nobody came to read it.
  return { bytes: body, [Symbol.asyncDispose]: async () => void body.on('error', () => {}).destroy() }
}
