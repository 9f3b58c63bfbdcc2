import { encode } from 'blurhash'
import sharp from 'sharp'
import type { BlurhashOptions, Generated, ThumbnailJob } from './job.ts'
import { decoding, type Loader, readOnlyWith } from './picture.ts'

/** What reads a thumbnail that was just made. */
export const stillLoaders: Readonly<Record<string, Loader>> = {
  'image/png': 'VipsForeignLoadPngFile',
  'image/jpeg': 'VipsForeignLoadJpegFile',
}

/**
 * The blurhash of a thumbnail that was just made: a few characters from which clients draw a blurred picture while they load
 * the real one. Only for workers. What is transparent counts as white. Source: MSC2448, blurha.sh.
 */
export async function blurhashOf(
  { source, target }: ThumbnailJob,
  { kind, contentType }: Generated,
  { xComponents, yComponents, thumbWidth, thumbHeight }: BlurhashOptions,
): Promise<string> {
  const loader = stillLoaders[contentType]
  if (!loader) throw new Error(`a blurhash is made of a still in PNG or JPEG, not of ${contentType}`)
  readOnlyWith(loader)
  const small = sharp(kind === 'original' ? source : target)
    .resize(thumbWidth, thumbHeight, { fit: 'inside', withoutEnlargement: true })
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .ensureAlpha()
    .raw()
  const { data, info } = await decoding(contentType, small.toBuffer({ resolveWithObject: true }))
  return encode(new Uint8ClampedArray(data), info.width, info.height, xComponents, yComponents)
}
