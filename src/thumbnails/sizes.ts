import { Refused } from '../lib/errors.ts'

export type Method = 'crop' | 'scale'

/** Pixels. */
export interface Size {
  readonly width: number
  readonly height: number
}

export interface ThumbnailSize extends Size {
  readonly method: Method
}

export interface SizeOptions {
  readonly sizes: readonly Size[]
  readonly dynamicSizing: boolean
}

/**
 * The size (in pixels) to make for a request: one of the configured ones, so that few are made and stored.
 *
 * MMR's rules: the exact size if it is configured; with `dynamicSizing` what was asked for, up to the largest configured
 * width and height; else the smallest configured size (by area) that is at least as wide and as high; else the largest
 * width and the largest height there are. `crop` keeps the aspect ratio of the request inside that size. The order of
 * `sizes` does not matter (in MMR it does).
 *
 * @throws Refused `not_thumbnailable` when no sizes are configured.
 */
export function chooseSize(options: SizeOptions, request: ThumbnailSize): ThumbnailSize {
  const bucket = chooseBucket(options, request)
  const size = request.method === 'crop' ? withAspectOf(request, bucket) : bucket
  return { width: size.width, height: size.height, method: request.method }
}

function chooseBucket({ sizes, dynamicSizing }: SizeOptions, request: Size): Size {
  if (sizes.length === 0) {
    throw new Refused('not_thumbnailable', 'This server makes no thumbnails: its thumbnails.sizes is empty')
  }
  if (sizes.some((size) => size.width === request.width && size.height === request.height)) return request
  const largest = {
    width: Math.max(...sizes.map((size) => size.width)),
    height: Math.max(...sizes.map((size) => size.height)),
  }
  if (dynamicSizing) {
    return { width: Math.min(request.width, largest.width), height: Math.min(request.height, largest.height) }
  }
  const fitting = sizes.filter((size) => size.width >= request.width && size.height >= request.height)
  return fitting.toSorted(bySize)[0] ?? largest
}

function bySize(a: Size, b: Size): number {
  return a.width * a.height - b.width * b.height || a.width - b.width
}

/** The largest size inside `limit` that has the aspect ratio of `shape`, at least one pixel in each direction. */
function withAspectOf(shape: Size, limit: Size): Size {
  // Multiplied out rather than by a ratio: 49 × (1 / 49) is less than 1, and the side that binds must stay exact.
  const widthBinds = limit.width * shape.height <= limit.height * shape.width
  return widthBinds
    ? { width: limit.width, height: Math.max(1, Math.floor((shape.height * limit.width) / shape.width)) }
    : { width: Math.max(1, Math.floor((shape.width * limit.height) / shape.height)), height: limit.height }
}
