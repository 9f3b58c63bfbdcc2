import type { DescriptionRecord } from '../db/descriptions.ts'
import type { MediaRecord } from '../db/media.ts'
import { thumbnailsOf } from '../db/thumbnails.ts'
import { Refused } from '../lib/errors.ts'
import { formatMxc } from '../matrix/ids.ts'
import { findAllowed } from '../media/download.ts'
import { describe } from '../thumbnails/describe.ts'
import type { BlurhashOptions } from '../thumbnails/job.ts'
import { type Answer, json } from './answers.ts'
import type { Call } from './call.ts'
import { wanted } from './download.ts'
import type { HttpParts } from './parts.ts'

/**
 * `GET info` of some media: what is stored, and what decoding tells of it. MMR behaviour; new are `animated` and
 * `xyz.amorgan.blurhash` (where the option is on).
 */
export async function info(parts: HttpParts, call: Call): Promise<Answer> {
  const record = await findAllowed(parts, call, wanted(parts, call, 'legacy'))
  const description = await describeIfPossible(parts, call, record)
  const thumbnails = await thumbnailsOf(parts.db.read, record.sha256)
  return json({
    content_uri: formatMxc(record),
    content_type: record.contentType,
    size: record.size,
    hashes: { sha256: record.sha256 },
    ...described(description),
    thumbnails: thumbnails.map(({ width, height, method, variant, contentType, size }) => ({
      width,
      height,
      method,
      animated: variant.startsWith('animated'),
      ready: true,
      content_type: contentType,
      size,
    })),
  })
}

function described(description: DescriptionRecord | undefined): Record<string, unknown> {
  if (!description) return {}
  const { contentType, width, height, animated, durationMs, blurhash, sound } = description
  return {
    // Of a recording or a PDF file the size would be that of a drawing.
    ...(contentType.startsWith('image/') || animated ? { width, height, animated } : {}),
    ...(durationMs === null ? {} : { duration: durationMs / 1000 }),
    ...(sound && {
      num_channels: sound.channels,
      num_total_samples: sound.samples,
      key_samples: sound.keySamples,
    }),
    ...(blurhash === null ? {} : { 'xyz.amorgan.blurhash': blurhash }),
  }
}

/** Undefined for what cannot be decoded, or under the limits must not be. */
async function describeIfPossible(
  parts: HttpParts,
  call: Call,
  record: MediaRecord,
): Promise<DescriptionRecord | undefined> {
  try {
    return await describe(parts, call, record, blurhashOptions(call))
  } catch (error) {
    if (error instanceof Refused && ['not_thumbnailable', 'too_large'].includes(error.reason)) return undefined
    throw error
  }
}

/** How blurhashes are made; undefined where they are off. */
export function blurhashOptions({ homeserver }: Pick<Call, 'homeserver'>): BlurhashOptions | undefined {
  const { enabled, xComponents, yComponents, thumbWidth, thumbHeight } = homeserver.featureSupport.MSC2448Blurhash
  return enabled ? { xComponents, yComponents, thumbWidth, thumbHeight } : undefined
}
