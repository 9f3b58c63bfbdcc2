import type { WantedThumbnail } from '../db/thumbnails.ts'
import { labelOf } from '../media/records.ts'
import type { AnimationType, StillType } from './job.ts'
import { chooseSize, type SizeOptions, type ThumbnailSize } from './sizes.ts'
import { animationWanted, type MotionOptions, variantsFor } from './variants.ts'

export interface AskedThumbnail extends ThumbnailSize {
  /** Whether it may move, if the source does and the options allow it. */
  readonly animated: boolean
  /** The type of a still, where the client can show better than PNG and JPEG. */
  readonly stillAs?: StillType
}

/** What to look for, or to make, of whatever source. */
export interface Plan {
  readonly look: Required<Omit<WantedThumbnail, 'sourceSha256'>>
  readonly animateAs?: AnimationType
  readonly stillAs?: StillType
}

interface Planned {
  readonly options: SizeOptions & MotionOptions
  readonly plan: Plan
}

/** The last plan for each request that comes in the same words again and again. */
const LAST = new WeakMap<AskedThumbnail, Planned>()

/**
 * What is asked for under a homeserver's options, of a source of `bytes` bytes.
 *
 * @throws Refused `not_thumbnailable` when no sizes are configured
 */
export function planFor(options: SizeOptions & MotionOptions, asked: AskedThumbnail, bytes: number): Plan {
  const animateAs = animationWanted(options, asked.animated, bytes)
  const last = LAST.get(asked)
  if (last?.options === options && last.plan.animateAs === animateAs) return last.plan
  const plan = newPlan(options, asked, animateAs)
  LAST.set(asked, { options, plan })
  return plan
}

function newPlan(
  options: SizeOptions & MotionOptions,
  asked: AskedThumbnail,
  animateAs: AnimationType | undefined,
): Plan {
  const { stillAs } = asked
  const found = { ...chooseSize(options, asked), ...variantsFor(options, animateAs, stillAs) }
  const look = { ...found, label: labelOf(found) }
  return { look, ...(animateAs ? { animateAs } : {}), ...(stillAs ? { stillAs } : {}) }
}
