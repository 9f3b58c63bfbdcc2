import type { Pdq } from './pdq.ts'
import type { Outside } from './run-program.ts'
import type { Size, ThumbnailSize } from './sizes.ts'

/** What is checked before a file is decoded. */
export interface ThumbnailLimits {
  /** Larger source files are refused; 0 means any size. */
  readonly maxSourceBytes: number
  /** Sources whose width × height reaches this are refused, as MMR does. */
  readonly maxPixels: number
}

/** One thumbnail to make: from a path, to a path, at most `width × height` pixels. Plain data: it travels between processes. */
export interface ThumbnailJob extends ThumbnailSize {
  readonly source: string
  /** Written by the worker, used by nobody else; removed again when no thumbnail comes of it. */
  readonly target: string
  readonly limits: ThumbnailLimits
  /** `thumbnails.types`: the source types that the administrator lets be decoded. */
  readonly types: readonly string[]
  /** `thumbnails.stillFrame`: which frame stands for a source that moves, from 0 (the first) to 1 (the last). */
  readonly stillFrame: number
  /** The type in which a source that moves is given moving; absent: as a still. */
  readonly animateAs?: AnimationType
  /** The type of a still; absent: PNG or JPEG, which every client shows. */
  readonly stillAs?: StillType
  /** Wanted too: a blurhash of what is made. */
  readonly blurhash?: BlurhashOptions
  /** Wanted too, of a recording: what it sounds like. */
  readonly sound?: true
  /** Wanted too: a hash of what it looks like. */
  readonly pdq?: true
}

/** How a blurhash is made: from a picture at most `thumbWidth × thumbHeight` pixels, as so many components. */
export interface BlurhashOptions {
  readonly xComponents: number
  readonly yComponents: number
  readonly thumbWidth: number
  readonly thumbHeight: number
}

/** What decoding found out beside the thumbnail. */
export interface Facts {
  /** The type of the source's bytes. */
  readonly sourceType?: string
  /** The size of the source, upright, in pixels; of a recording or a PDF file, that of a picture drawn of it. */
  readonly source?: Size
  /** How long the source lasts, in ms, where it has a duration. */
  readonly durationMs?: number
  /** Where it was wanted. */
  readonly blurhash?: string
  /** Of a recording, where it was wanted. */
  readonly sound?: Sound
  /** Where it was wanted. */
  readonly pdq?: Pdq
}

/** What a recording sounds like, in short. */
export interface Sound {
  readonly channels: number
  /** Of each channel. */
  readonly samples: number
  /** Of equally long parts, the loudest samples of the left channel and the right one, each from -1 to 1. */
  readonly keySamples: readonly (readonly [left: number, right: number])[]
}

/** What a still can be for clients that say that they show it (`thumbnails.negotiate`). */
export type StillType = 'image/webp' | 'image/avif'

/** What every client of today shows moving. APNG is not among them: applications outside of browsers show its first picture. */
export type AnimationType = 'image/webp' | 'image/gif'

/**
 * What a thumbnail of a source with frames is: `moving`, or a still of one that `can` be had moving under the limits of its
 * job, or of one that `cannot` (too many frames or pixels, too long, damaged; a video).
 */
export type Motion = 'moving' | 'can' | 'cannot'

/**
 * What came of a job: a thumbnail in the target, or the answer that the original, being no larger than asked, is the
 * thumbnail. `contentType` is what the bytes are, whatever their sender called them. Sizes in pixels. No `motion`: the source
 * has one picture.
 */
export type Generated = (
  | {
      readonly kind: 'thumbnail'
      readonly contentType: string
      readonly width: number
      readonly height: number
      readonly bytes: number
      readonly motion?: Motion
    }
  | {
      readonly kind: 'original'
      readonly contentType: string
      readonly width: number
      readonly height: number
      readonly motion?: Motion
    }
) &
  Facts

/** Makes thumbnails of some types. One file in `generators/` each, listed in `generators.ts`. */
export interface Generator {
  /** The types it takes, as their bytes say, each with the names in `thumbnails.types` that enable it. */
  readonly types: ReadonlyMap<string, readonly string[]>
  /** Settings of the process it works in, made once, before its first job. */
  prepare(): void
  /**
   * Checks the source's size in pixels, then decodes it and writes the target.
   *
   * @param contentType the type of the source's bytes, one of `types`
   * @param timeLimitMs when to give up on a program; this process is ended then
   * @param outside programs of the machine, for types that need them
   * @throws Refused `too_large`, or `not_thumbnailable` when the file cannot be decoded
   */
  generate(job: ThumbnailJob, contentType: string, timeLimitMs: number, outside: Outside): Promise<Generated>
}
