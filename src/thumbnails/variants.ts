import type { WantedThumbnail } from '../db/thumbnails.ts'
import type { AnimationType, Generated, Motion, StillType } from './job.ts'

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
  stillAs?: StillType,
): Required<Pick<WantedThumbnail, 'variant' | 'orElse'>> {
  const still = nameOf(options, undefined, stillAs)
  const hopeless = nameOf(options, 'cannot', stillAs)
  if (animateAs) return { variant: nameOf(options, 'moving'), orElse: [still, hopeless] }
  return { variant: still, orElse: [nameOf(options, 'can', stillAs), hopeless] }
}

/** The name under which to store what was made. */
export function variantOf(options: MotionOptions, { motion }: Pick<Generated, 'motion'>, stillAs?: StillType): string {
  return nameOf(options, motion, stillAs)
}

function nameOf(options: MotionOptions, motion: Motion | undefined, stillAs?: StillType): string {
  if (motion === 'moving') return `animated ${options.animationFormat}`
  const name = stillNameOf(options, motion)
  return stillAs ? `${name} as ${stillAs}` : name
}

function stillNameOf({ stillFrame, maxPixels }: MotionOptions, motion: 'can' | 'cannot' | undefined): string {
  if (motion === undefined) return 'still'
  // What is too much for an animation under this limit may not be under the next.
  return motion === 'can' ? `frame ${stillFrame}` : `frame ${stillFrame}, still within ${maxPixels} pixels`
}
