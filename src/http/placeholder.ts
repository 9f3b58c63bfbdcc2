import { Refused } from '../lib/errors.ts'
import { chooseSize, type ThumbnailSize } from '../thumbnails/sizes.ts'
import { type FileAnswer, openBuffer } from './answers.ts'
import type { Call } from './call.ts'
import type { HttpParts } from './parts.ts'
import type { Endpoint } from './redirect.ts'

/** Asked for again each time: the media may be released, and the picture exchanged. */
const CACHE_CONTROL = 'private, no-cache'

/**
 * What is sent in place of quarantined media, where the administrator wants that: a picture, in the size of the thumbnail
 * that was asked for if it was one. MMR behaviour, as far as it was meant. Other homeservers are told that there is nothing: they
 * would keep the picture as the media, for good.
 *
 * @throws `error`, if it is another one, or nothing is to be sent instead
 */
export async function placeholderFor(
  parts: HttpParts,
  call: Call,
  { endpoint, thumbnail }: { readonly endpoint: Endpoint; readonly thumbnail?: ThumbnailSize },
  error: unknown,
): Promise<FileAnswer> {
  const { replaceThumbnails, replaceDownloads, thumbnailPath } = call.homeserver.quarantine
  const isReplaced = endpoint !== 'federation' && (thumbnail ? replaceThumbnails : replaceDownloads)
  if (!isReplaced || !(error instanceof Refused) || error.reason !== 'quarantined') throw error
  const size = thumbnail && chooseSize(call.homeserver.thumbnails, thumbnail)
  const { bytes, contentType, sha256 } = await parts.placeholders.get(thumbnailPath, size)
  return {
    kind: 'file',
    size: bytes.length,
    tag: sha256,
    contentType,
    disposition: 'inline',
    fileName: `not_allowed.${contentType === 'image/jpeg' ? 'jpg' : contentType.slice('image/'.length)}`,
    cacheControl: CACHE_CONTROL,
    open: async () => openBuffer(bytes),
    openRangeBytes: 0,
  }
}
