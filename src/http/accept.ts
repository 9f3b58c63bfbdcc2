import type { StillType } from '../thumbnails/job.ts'

/** The better first: with as little effort as we give it, AVIF takes no longer to make than WebP, and is smaller. */
const OFFERED: readonly StillType[] = ['image/avif', 'image/webp']

/**
 * The type of picture to answer with instead of PNG or JPEG: the one that a client's `Accept` header likes best of those
 * that it names. Patterns such as `image/*` name none: every program sends them, also those that cannot show WebP.
 * Source: RFC 9110 §12.5.1.
 */
export function namedPicture(accept: string | undefined): StillType | undefined {
  if (!accept) return undefined
  const wishes = new Map(accept.split(',').map(readWish))
  const named = OFFERED.filter((type) => (wishes.get(type) ?? 0) > 0)
  return named.toSorted((a, b) => (wishes.get(b) ?? 0) - (wishes.get(a) ?? 0))[0]
}

/** A type and how much it is liked, from 0 (not at all) to 1. What cannot be read is not liked. */
function readWish(wish: string): readonly [type: string, quality: number] {
  const [type = '', ...parameters] = wish.split(';').map((part) => part.trim().toLowerCase())
  const quality = parameters.find((parameter) => parameter.startsWith('q='))
  if (quality === undefined) return [type, 1]
  return [type, /^q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(quality) ? Number(quality.slice(2)) : 0]
}

/** Whether a browser asks because somebody opened an address: then it names HTML first of all, as programs do not. */
export const asksForPage = (accept: string | undefined): boolean => accept?.startsWith('text/html') ?? false
