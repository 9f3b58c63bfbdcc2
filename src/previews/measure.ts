import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FilePictureParts } from './file-picture.ts'
import type { PictureOptions } from './picture.ts'

/** The smallest job that tells what a picture is. */
const JOB = { width: 64, height: 64, method: 'scale', stillFrame: 0 } as const

/**
 * What a picture's bytes are, and its size upright in pixels, found out by decoding it in a process of its own.
 *
 * @throws Refused `not_thumbnailable`, `too_large`, `limited`
 */
export async function measurePicture(
  { thumbnailPool, scratch }: FilePictureParts,
  path: string,
  { types, maxPixels, maxSourceBytes }: PictureOptions['thumbnails'],
  signal: AbortSignal,
): Promise<{ readonly contentType: string; readonly width: number; readonly height: number }> {
  const target = join(scratch, randomUUID())
  try {
    const limits = { maxPixels, maxSourceBytes }
    const made = await thumbnailPool.generate({ ...JOB, source: path, target, limits, types }, signal)
    const { width, height } = made.source ?? made
    return { contentType: made.sourceType ?? made.contentType, width, height }
  } finally {
    await rm(target, { force: true })
  }
}
