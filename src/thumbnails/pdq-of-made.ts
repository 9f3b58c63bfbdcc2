import sharp from 'sharp'
import { stillLoaders } from './blurhash.ts'
import type { Generated, ThumbnailJob } from './job.ts'
import { type Pdq, pdqOf } from './pdq.ts'
import { decoding, readOnlyWith } from './picture.ts'

/** What the thumbnail that was just made looks like. Only for workers. What is transparent counts as white. */
export async function pdqOfMade({ source, target }: ThumbnailJob, { kind, contentType }: Generated): Promise<Pdq> {
  const loader = stillLoaders[contentType]
  if (!loader) throw new Error(`what a picture looks like is found out of a PNG or JPEG, not of ${contentType}`)
  readOnlyWith(loader)
  const pixels = sharp(kind === 'original' ? source : target)
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
  const { data, info } = await decoding(contentType, pixels.toBuffer({ resolveWithObject: true }))
  return pdqOf({ data, width: info.width, height: info.height })
}
