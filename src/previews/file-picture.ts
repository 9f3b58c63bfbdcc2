import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Refused } from '../lib/errors.ts'
import type { Generated } from '../thumbnails/job.ts'
import type { ThumbnailPool } from '../thumbnails/pool.ts'

export interface FilePictureParts {
  readonly thumbnailPool: Pick<ThumbnailPool, 'generate'>
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

/** A picture on this machine. */
export interface LocalPicture {
  readonly path: string
  readonly contentType: string
  /** In pixels, upright. */
  readonly width: number
  readonly height: number
}

/** What decoding found out about a file. */
export interface FilePicture extends AsyncDisposable {
  /** Absent where none could be made. It is deleted on disposal. */
  readonly picture?: LocalPicture
  /** Of a film: how large its frames are, in pixels. */
  readonly frame?: { readonly width: number; readonly height: number }
}

/** Clients show previews smaller than that. */
const MADE = { width: 800, height: 600, method: 'scale' } as const
/** An image is only measured. */
const MEASURED = { width: 64, height: 64, method: 'scale' } as const

/**
 * The picture of a file whose bytes come in: an image is its own; of films, recordings and PDF files one is made. Decoded by the
 * thumbnail workers, under their limits.
 *
 * @param contentType what the file's bytes are
 * @throws `Refused` `limited` when too many thumbnails wait, the signal's reason, and what the body fails with
 */
export async function pictureOfFile(
  { thumbnailPool, scratch }: FilePictureParts,
  thumbnails: DecodingOptions,
  { contentType, body }: { readonly contentType: string; readonly body: Readable },
  signal: AbortSignal,
): Promise<FilePicture> {
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
  const keep = cleanUp.move()
  const facts = made && (isImage ? ofImage(made, source) : ofOther(made, target))
  return { ...facts, [Symbol.asyncDispose]: () => keep.disposeAsync() }
}

type Facts = Omit<FilePicture, keyof AsyncDisposable>

function ofImage({ sourceType, contentType, source, width, height }: Generated, path: string): Facts {
  return { picture: { path, contentType: sourceType ?? contentType, width, height, ...source } }
}

function ofOther({ contentType, width, height, source }: Generated, path: string): Facts {
  return { picture: { path, contentType, width, height }, ...(source && { frame: source }) }
}

/** A file that no picture can be made of has none; that is no reason not to tell its name. */
async function unlessRefused(generating: Promise<Generated>): Promise<Generated | undefined> {
  try {
    return await generating
  } catch (error) {
    if (error instanceof Refused && (error.reason === 'not_thumbnailable' || error.reason === 'too_large'))
      return undefined
    throw error
  }
}
