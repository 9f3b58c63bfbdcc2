import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chooseSize } from './sizes.ts'
import type { Method, Size, ThumbnailSize } from './sizes.ts'

const usual: readonly Size[] = [
  { width: 32, height: 32 },
  { width: 96, height: 96 },
  { width: 320, height: 240 },
  { width: 640, height: 480 },
  { width: 768, height: 240 },
  { width: 800, height: 600 },
]
const listed = { sizes: usual, dynamicSizing: false }
const dynamic = { sizes: usual, dynamicSizing: true }

const side = fc.integer({ min: 1, max: 2000 })
const size: fc.Arbitrary<Size> = fc.record({ width: side, height: side })
const sizes = fc.array(size, { minLength: 1, maxLength: 8 })
const method = fc.constantFrom<Method>('crop', 'scale')
const request: fc.Arbitrary<ThumbnailSize> = fc.record({ width: side, height: side, method })

const fits = (inner: Size, outer: Size) => inner.width <= outer.width && inner.height <= outer.height

describe('the size of a thumbnail', () => {
  test.each<[ThumbnailSize, Size]>([
    [
      { width: 96, height: 96, method: 'crop' },
      { width: 96, height: 96 },
    ],
    [
      { width: 97, height: 97, method: 'scale' },
      { width: 320, height: 240 },
    ],
    [
      { width: 700, height: 200, method: 'scale' },
      { width: 768, height: 240 },
    ],
    [
      { width: 1, height: 1, method: 'scale' },
      { width: 32, height: 32 },
    ],
    [
      { width: 5000, height: 10, method: 'scale' },
      { width: 800, height: 600 },
    ],
  ])('is the smallest configured one that is large enough: %o', (asked, expected) => {
    expect(chooseSize(listed, asked)).toEqual({ ...expected, method: asked.method })
  })

  test.each<[ThumbnailSize, Size]>([
    [
      { width: 200, height: 100, method: 'crop' },
      { width: 320, height: 160 },
    ],
    [
      { width: 100, height: 200, method: 'crop' },
      { width: 120, height: 240 },
    ],
    [
      { width: 4000, height: 2000, method: 'crop' },
      { width: 800, height: 400 },
    ],
    [
      { width: 100000, height: 1, method: 'crop' },
      { width: 800, height: 1 },
    ],
  ])('keeps the aspect ratio that was asked for when cropping: %o', (asked, expected) => {
    expect(chooseSize(listed, asked)).toEqual({ ...expected, method: 'crop' })
  })

  test('is what was asked for, up to the largest configured one, with dynamicSizing', () => {
    expect(chooseSize(dynamic, { width: 123, height: 45, method: 'scale' })).toMatchObject({ width: 123, height: 45 })
    expect(chooseSize(dynamic, { width: 9000, height: 45, method: 'scale' })).toMatchObject({ width: 800, height: 45 })
  })

  test('is refused with the name of the option when no sizes are configured', () => {
    expect(() => chooseSize({ sizes: [], dynamicSizing: true }, { width: 1, height: 1, method: 'scale' })).toThrow(
      expect.objectContaining({ reason: 'not_thumbnailable', message: expect.stringContaining('thumbnails.sizes') }),
    )
  })

  test('is never smaller than asked when a configured size is large enough', () => {
    fc.assert(
      fc.property(sizes, request, fc.boolean(), (sizes, request, dynamicSizing) => {
        fc.pre(sizes.some((size) => fits(request, size)))
        expect(fits(request, chooseSize({ sizes, dynamicSizing }, request))).toBe(true)
      }),
    )
  })

  test('is never larger than the largest configured width and height', () => {
    fc.assert(
      fc.property(sizes, request, fc.boolean(), (sizes, request, dynamicSizing) => {
        const largest = {
          width: Math.max(...sizes.map(({ width }) => width)),
          height: Math.max(...sizes.map(({ height }) => height)),
        }
        const chosen = chooseSize({ sizes, dynamicSizing }, request)
        expect(fits(chosen, largest)).toBe(true)
        expect(Math.min(chosen.width, chosen.height)).toBeGreaterThanOrEqual(1)
      }),
    )
  })

  test('does not depend on the order of the list', () => {
    const shuffled = sizes.chain((sizes) =>
      fc.tuple(fc.constant(sizes), fc.shuffledSubarray(sizes, { minLength: sizes.length, maxLength: sizes.length })),
    )
    fc.assert(
      fc.property(shuffled, request, ([one, other], request) => {
        const inOrder = chooseSize({ sizes: one, dynamicSizing: false }, request)
        expect(chooseSize({ sizes: other, dynamicSizing: false }, request)).toEqual(inOrder)
      }),
    )
  })
})
