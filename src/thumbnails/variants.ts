import type { WantedThumbnail } from '../db/thumbnails.ts'
import type { AnimationType, Generated, Motion } from './job.ts'

/** The options that decide whether a caller gets an animation, and of what kind; from `thumbnails`. */
export interface MotionOptions {
  readonly allowAnimated: boolean
  /** Bytes; 0 means any size. */
  readonly maxAnimateSizeBytes: number
  readonly animationFormat: 'webp' | 'gif'
  readonly stillFrame: number
  readonly maxPixels: number
}

/**
 * The type in which a source of `bytes` bytes is to be animated, if it is an animation; undefined: not at all. In MMR
 * `animated=true` overrides `allowAnimated`, and nothing looks at `maxAnimateSizeBytes`.
 */
export function animationWanted(
  { allowAnimated, maxAnimateSizeBytes, animationFormat }: MotionOptions,
  asked: boolean,
  bytes: number,
): AnimationType | undefined {
  const small = maxAnimateSizeBytes === 0 || bytes <= maxAnimateSizeBytes
  return asked && allowAnimated && small ? `image/${animationFormat}` : undefined
}

/**
 * Under which names a thumbnail is stored that answers a request, the best first. What was made counts, not what was asked
 * for: a source that is no animation has one record, whoever asks, and one that cannot be shown moving too. Options that change
 * the picture are part of the name, as homeservers with different ones share their media's content.
 */
export function variantsFor(
  options: MotionOptions,
  animateAs: AnimationType | undefined,
): Required<Pick<WantedThumbnail, 'variant' | 'orElse'>> {
  const still = nameOf(options, undefined)
  const hopeless = nameOf(options, 'cannot')
  if (animateAs) return { variant: nameOf(options, 'moving'), orElse: [still, hopeless] }
  return { variant: still, orElse: [nameOf(options, 'can'), hopeless] }
}

/** The name under which to store what was made. */
export function variantOf(options: MotionOptions, { motion }: Pick<Generated, 'motion'>): string {
  return nameOf(options, motion)
}

function nameOf({ animationFormat, stillFrame, maxPixels }: MotionOptions, motion: Motion | undefined): string {
  if (motion === undefined) return 'still'
  if (motion === 'moving') return `animated ${animationFormat}`
  // What is too much for an animation under this limit may not be under the next.
  return motion === 'can' ? `frame ${stillFrame}` : `frame ${stillFrame}, more than ${maxPixels} pixels`
}
