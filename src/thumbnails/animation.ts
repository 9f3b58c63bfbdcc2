import type { Sharp } from 'sharp'
import { Refused } from '../lib/errors.ts'
import { type Animation, chooseFrame, mayMove } from './frames.ts'
import type { AnimationType, Generated, Motion, ThumbnailJob } from './job.ts'
import {
  checkPixels,
  fitsAsItIs,
  makeStill,
  open,
  type Picture,
  pictures,
  readHeader,
  resize,
  write,
} from './picture.ts'

/** As `pictures`, for a type with one or more frames. */
export const animations = (types: Parameters<typeof pictures>[0], reader: Parameters<typeof pictures>[1]) =>
  pictures(types, reader, generate)

async function generate(job: ThumbnailJob, picture: Picture): Promise<Generated> {
  const { width, height, pages: frames = 1, delay: delays = [], orientation = 1 } = await readHeader(picture)
  // libvips does not turn animations upright; those that say that they lie on their side are rare enough to stand still.
  if (frames === 1 || orientation > 1) return await makeStill(job, picture)
  const animation = { width, height, frames, delays }
  checkPixels(animation, job)
  const still = () => makeStill(job, { ...picture, options: { page: chooseFrame(animation, job) } })
  const type = movingType(animation, job)
  if (!type) return { ...(await still()), motion: motionOf(animation, job) }
  const { contentType } = picture
  const source = { width, height }
  if (mayBeServed(animation, contentType, job)) {
    return { kind: 'original', contentType, ...source, motion: 'moving', source }
  }
  const all = open({ ...picture, options: { pages: -1 } }, job.limits.maxPixels)
  const moving = encodeMoving(resize(all, animation, job), type)
  return await movingOr(still, async () => ({ ...(await write(job, contentType, moving)), source }))
}

/**
 * An animation of which a frame is damaged stands still, as long as the frames up to its `stillFrame` are whole: the end of
 * many a GIF is missing.
 */
export async function movingOr(
  still: () => Promise<Generated>,
  makeMoving: () => Promise<Generated>,
): Promise<Generated> {
  try {
    return { ...(await makeMoving()), motion: 'moving' }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { ...(await still()), motion: 'cannot' }
  }
}

/** The type in which this animation is given moving; undefined for a still. */
export function movingType(animation: Animation, { animateAs, limits }: ThumbnailJob): AnimationType | undefined {
  return mayMove(animation, limits) ? animateAs : undefined
}

/** What a still of this animation is to be called. */
export function motionOf(animation: Animation, { limits }: ThumbnailJob): Motion {
  return mayMove(animation, limits) ? 'can' : 'cannot'
}

/** What the file says of time where libvips does not read it. */
export interface Timing {
  /** How long each frame is shown, in ms. */
  readonly delay?: number[]
  /** How often all of them are; 0: for ever. */
  readonly loop?: number
}

export function encodeMoving(image: Sharp, type: AnimationType, timing: Timing = {}): Sharp {
  // Less effort makes WebP a quarter larger, more makes it a twentieth smaller and takes half as long again.
  return type === 'image/webp' ? image.webp({ effort: 2, ...timing }) : image.gif(timing)
}

/** Whether an animation that is small enough already can itself be the answer: in a type that every client shows moving. */
function mayBeServed(animation: Animation, contentType: string, job: ThumbnailJob): boolean {
  return fitsAsItIs(animation, job) && (contentType === 'image/gif' || contentType === job.animateAs)
}
