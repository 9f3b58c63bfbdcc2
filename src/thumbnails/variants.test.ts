import { expect, test } from 'vitest'
import type { Motion } from './job.ts'
import { animationWanted, type MotionOptions, variantOf, variantsFor } from './variants.ts'

const OPTIONS: MotionOptions = {
  allowAnimated: true,
  maxAnimateSizeBytes: 1000,
  animationFormat: 'webp',
  stillFrame: 0.5,
  maxPixels: 32_000_000,
}

test.each([
  [true, 1000, {}, 'image/webp'],
  [true, 1001, {}, undefined],
  [true, 1001, { maxAnimateSizeBytes: 0 }, 'image/webp'],
  [true, 1, { animationFormat: 'gif' }, 'image/gif'],
  [true, 1, { allowAnimated: false }, undefined],
  [false, 1, {}, undefined],
] as const)('who asks for motion (%s) of %d bytes under %o is given %s', (asked, bytes, options, expected) => {
  expect(animationWanted({ ...OPTIONS, ...options }, asked, bytes)).toBe(expected)
})

/** What makes up the answer to who wants motion, and to who wants none, when it is there. */
function answers(motion: Motion | undefined, made: Partial<MotionOptions> = {}): readonly boolean[] {
  const stored = variantOf({ ...OPTIONS, ...made }, motion ? { motion } : {})
  return (['image/webp', undefined] as const).map((animateAs) => {
    const { variant, orElse } = variantsFor(OPTIONS, animateAs)
    return [variant, ...orElse].includes(stored)
  })
}

test('a record answers who wants what it is, and who wants more where more cannot be had', () => {
  expect(answers('moving')).toEqual([true, false])
  expect(answers('can')).toEqual([false, true])
  expect(answers('cannot')).toEqual([true, true])
  expect(answers(undefined)).toEqual([true, true])
})

test('a record made under other options answers only where they change nothing', () => {
  expect(answers('moving', { animationFormat: 'gif' })).toEqual([false, false])
  expect(answers('moving', { stillFrame: 0, maxPixels: 1 })).toEqual([true, false])
  expect(answers('can', { stillFrame: 0 })).toEqual([false, false])
  expect(answers('can', { maxPixels: 1 })).toEqual([false, true])
  expect(answers('cannot', { maxPixels: 1 })).toEqual([false, false])
  expect(answers(undefined, { stillFrame: 0, maxPixels: 1, animationFormat: 'gif' })).toEqual([true, true])
})

test('a still for clients that show WebP or AVIF answers nobody else; an animation answers all who want one', () => {
  for (const motion of ['can', 'cannot', undefined] as const) {
    const webp = variantOf(OPTIONS, motion ? { motion } : {}, 'image/webp')
    for (const stillAs of [undefined, 'image/avif'] as const) {
      const { variant, orElse } = variantsFor(OPTIONS, undefined, stillAs)
      expect([variant, ...orElse]).not.toContain(webp)
    }
    const { variant, orElse } = variantsFor(OPTIONS, undefined, 'image/webp')
    expect([variant, ...orElse]).toContain(webp)
  }
  const moving = variantOf(OPTIONS, { motion: 'moving' }, 'image/webp')
  expect(variantsFor(OPTIONS, 'image/webp').variant).toBe(moving)
})
