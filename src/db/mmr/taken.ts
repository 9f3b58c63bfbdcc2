import type { MediaKind } from '../schema.ts'
import type { PlacedObject } from './objects.ts'

/** What MMR's rows say of a media, as bits of `mmr_media.flags`. */
export const MMR_FLAGS = { quarantined: 1, restricted: 2, pinned: 4, thumbnail: 8 } as const

/** A row of MMR's `media` in our words. */
export interface TakenMedia extends PlacedObject {
  readonly origin: string
  readonly mediaId: string
  readonly kind: MediaKind
  readonly contentType: string
  readonly uploadName: string | null
  readonly uploader: string | null
  readonly createdAt: number
  readonly accessedAt: number
  /** Bits of `MMR_FLAGS`. Copies of thumbnails are noted, so that their places are kept, and not brought here. */
  readonly flags: number
}
