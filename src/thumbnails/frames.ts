import type { ThumbnailJob } from './job.ts'
import type { Size } from './sizes.ts'

/** What an animation's header says, before anything is decoded. The size is of its canvas, in pixels. */
export interface Animation extends Size {
  readonly frames: number
  /** How long each frame is shown, in ms. */
  readonly delays: readonly number[]
}

/** More frames than this are never decoded for one thumbnail: at 30 a second they last half a minute. */
const MOST_FRAMES = 1000
/** An animation that takes longer once through is a slide show, or a trap. */
const LONGEST_MS = 10 * 60_000

/**
 * Whether a moving thumbnail may be made: every frame costs a canvas of pixels, so all of them together are held to
 * `maxPixels`, as one picture is.
 */
export function mayMove(animation: Animation, limits: ThumbnailJob['limits']): boolean {
  const lasts = animation.delays.reduce((sum, delay) => sum + delay, 0)
  return animation.frames <= affordable(animation, limits) && lasts <= LONGEST_MS
}

/**
 * The frame that stands for an animation, counted from 0: MMR's choice, except that `stillFrame: 1` is the last one (MMR
 * then sends the animation). All frames before it have to be decoded too, so it is an earlier one where that costs more than
 * a moving thumbnail may.
 */
export function chooseFrame(animation: Animation, { stillFrame, limits }: ThumbnailJob): number {
  const chosen = Math.min(Math.floor(stillFrame * animation.frames), animation.frames - 1)
  return Math.max(0, Math.min(chosen, affordable(animation, limits) - 1))
}

/** How many frames may be decoded: all of them together with fewer pixels than the limit. */
function affordable({ width, height }: Size, { maxPixels }: ThumbnailJob['limits']): number {
  return Math.min(MOST_FRAMES, Math.ceil(maxPixels / (width * height)) - 1)
}
