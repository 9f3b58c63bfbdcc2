import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Refused } from '../lib/errors.ts'

export interface FilePictureParts {
  /** The processes that decode what strangers send (`thumbnails/pool.ts`). */
  readonly thumbnailPool: { generate(job: DecodingJob, signal: AbortSignal): Promise<Decoded> }
  /** Folder for files on their way to a datastore. */
  readonly scratch: string
}

/** `thumbnails` of a homeserver's configuration. */
export interface DecodingOptions {
  readonly types: readonly string[]
  readonly maxPixels: number
  readonly maxSourceBytes: number
  readonly stillFrame: number
}

interface Size {
  readonly width: number
  readonly height: number
}

/** A picture to make of a file; see `ThumbnailJob`. */
interface DecodingJob extends Size, Pick<DecodingOptions, 'types' | 'stillFrame'> {
  readonly source: string
  readonly target: string
  readonly method: 'scale'
  readonly limits: Pick<DecodingOptions, 'maxPixels' | 'maxSourceBytes'>
}

/** What came of it; see `Generated`. */
interface Decoded extends Size {
  readonly contentType: string
  readonly sourceType?: string
  readonly source?: Size
}

/** A picture on this machine. It is deleted on disposal. */
export interface LocalPicture extends Size, AsyncDisposable {
  readonly contentType: string
  /** In bytes. */
  readonly size: number
  readonly bytes: () => AsyncIterable<Uint8Array>
}

/** What decoding found out about a file. */
export interface FilePicture {
  readonly picture: LocalPicture
  /** Of a film: how large its frames are, in pixels. */
  readonly frame?: Size
}

/** Clients show previews smaller than that. */
const MADE = { width: 800, height: 600, method: 'scale' } as const
/** An image is only measured. */
const MEASURED = { width: 64, height: 64, method: 'scale' } as const

/**
 * The picture of a file whose bytes come in: an image is its own; of films, recordings and PDF files one is made. Decoded by the
 * thumbnail workers, under their limits. Undefined where there is none to be had.
 *
 * @param contentType what the file's bytes are
 * @throws `Refused` `limited` when too many thumbnails wait, the signal's reason, and what the body fails with
 */
export async function pictureOfFile(
  { thumbnailPool, scratch }: FilePictureParts,
  thumbnails: DecodingOptions,
  { contentType, body }: { readonly contentType: string; readonly body: Readable },
  signal: AbortSignal,
): Promise<FilePicture | undefined> {
  await using cleanUp = new AsyncDisposableStack()
  const [source, target] = [join(scratch, randomUUID()), join(scratch, randomUUID())]
  cleanUp.defer(() => rm(source, { force: true }))
  cleanUp.defer(() => rm(target, { force: true }))
  await pipeline(body, createWriteStream(source), { signal })
  const { types, maxPixels, maxSourceBytes, stillFrame } = thumbnails
  const isImage = contentType.startsWith('image/')
  const limits = { maxPixels, maxSourceBytes }
  // Which images may be decoded `thumbnails.types` says. Other files are listed for their previews; their covers are images again.
  const job = { source, target, limits, stillFrame, types: isImage ? types : [...types, contentType] }
  const made = await unlessRefused(thumbnailPool.generate({ ...job, ...(isImage ? MEASURED : MADE) }, signal))
  if (!made) return undefined
  const path = isImage ? source : target
  const { size } = await stat(path)
  const kept = cleanUp.move()
  const file = { size, bytes: () => createReadStream(path), [Symbol.asyncDispose]: () => kept.disposeAsync() }
  const { width, height, source: frame } = made
  if (isImage)
    return { picture: { ...file, contentType: made.sourceType ?? made.contentType, width, height, ...frame } }
  return { picture: { ...file, contentType: made.contentType, width, height }, ...(frame && { frame }) }
}

/** A file that no picture can be made of has none; that is no reason not to tell its name. */
async function unlessRefused(generating: Promise<Decoded>): Promise<Decoded | undefined> {
  try {
    return await generating
  } catch (error) {
    if (error instanceof Refused && NO_PICTURE.has(error.reason)) return undefined
    throw error
  }
}

const NO_PICTURE = new Set(['not_thumbnailable', 'too_large'])
