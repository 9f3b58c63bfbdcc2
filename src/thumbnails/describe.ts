import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { commitDescription, type DescriptionRecord, findDescription } from '../db/descriptions.ts'
import type { MediaRecord } from '../db/media.ts'
import type { SharedWork } from '../lib/shared-work.ts'
import type { Context } from '../media/context.ts'
import type { ThumbnailParts } from './get.ts'
import type { BlurhashOptions, Generated } from './job.ts'
import { decodeStored } from './source.ts'

export interface DescribeParts extends Omit<ThumbnailParts, 'records'> {
  /** Media being described, by their content. */
  readonly descriptionsUnderWay: SharedWork<DescriptionRecord>
}

/** Small pictures that a blurhash is made of; it blurs them anyway. */
const side = 64

/**
 * What decoding tells of some media that the caller was allowed: found, or found out once for everybody who asks at the same
 * time, and written down. With a blurhash, if `blurhash` says how it is to be made.
 *
 * @throws Refused `not_thumbnailable` (there is no picture to be had of it), `too_large`, or `limited` when too many wait
 */
export async function describe(
  parts: DescribeParts,
  ctx: Context,
  media: MediaRecord,
  blurhash?: BlurhashOptions,
): Promise<DescriptionRecord> {
  const known = await findDescription(parts.db.read, media.sha256)
  if (known && isEnough(known, blurhash)) return known
  const { types, maxPixels, maxSourceBytes } = ctx.homeserver.thumbnails
  const work = JSON.stringify([media.sha256, types, maxPixels, maxSourceBytes, blurhash])
  return await parts.descriptionsUnderWay.run(work, ctx.signal, async (signal) => {
    const found = descriptionOf(await decode(parts, ctx, media, signal, blurhash))
    // A blurhash of before stays, where nobody asks for one now.
    const description = { ...found, blurhash: found.blurhash ?? known?.blurhash ?? null }
    await parts.db.write(commitDescription, { sha256: media.sha256, ...description })
    return description
  })
}

function isEnough(known: DescriptionRecord, blurhash: BlurhashOptions | undefined): boolean {
  return !blurhash || (known.blurhash !== null && hasComponents(known.blurhash, blurhash))
}

async function decode(
  parts: DescribeParts,
  ctx: Context,
  media: MediaRecord,
  signal: AbortSignal,
  blurhash: BlurhashOptions | undefined,
): Promise<Generated> {
  const target = join(parts.scratch, randomUUID())
  await using cleanUp = new AsyncDisposableStack()
  cleanUp.defer(() => rm(target, { force: true }))
  const { maxSourceBytes, maxPixels, types, stillFrame } = ctx.homeserver.thumbnails
  const size = { width: blurhash?.thumbWidth ?? side, height: blurhash?.thumbHeight ?? side, method: 'scale' } as const
  const limits = { maxSourceBytes, maxPixels }
  const job = { target, ...size, limits, types, stillFrame, sound: true } as const
  const wanted = blurhash ? { ...job, blurhash } : job
  return await decodeStored(parts, ctx, media, (source) => parts.thumbnailPool.generate({ source, ...wanted }, signal))
}

function descriptionOf(generated: Generated): DescriptionRecord {
  const { sourceType, source, motion, durationMs, blurhash, sound } = generated
  return {
    contentType: sourceType ?? generated.contentType,
    width: source?.width ?? generated.width,
    height: source?.height ?? generated.height,
    animated: motion !== undefined,
    durationMs: durationMs === undefined ? null : Math.round(durationMs),
    blurhash: blurhash ?? null,
    sound: sound ?? null,
  }
}

/** Whether a blurhash has so many components: its first character says how many. */
function hasComponents(blurhash: string, { xComponents, yComponents }: BlurhashOptions): boolean {
  return blurhash.startsWith(digits.charAt(xComponents - 1 + (yComponents - 1) * 9))
}

/** The digits of blurhashes, from 0 to 82. */
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~'
