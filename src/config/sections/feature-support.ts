import { anywhere, decimal, flag, option, section, whole } from '../option.ts'

const ignored = { ...anywhere, noEffect: 'accepted for files of MMR 1.2; without effect' } as const

const blurhash = section('Blurhashes (MSC2448): a few characters that clients show as a blurred picture.', {
  enabled: option(flag(), false, {
    ...anywhere,
    description:
      'Answer uploads with `xyz.amorgan.generate_blurhash=true` with the blurhash of the picture. They take as long as a thumbnail then.',
  }),
  xComponents: option(whole({ min: 1, max: 9 }), 4, {
    ...anywhere,
    description: 'Detail from left to right: more is sharper and longer.',
  }),
  yComponents: option(whole({ min: 1, max: 9 }), 3, { ...anywhere, description: 'Detail from top to bottom.' }),
  thumbWidth: option(whole({ min: 1, max: 256 }), 64, {
    ...anywhere,
    description: 'Width in pixels, at most, of the small picture that the blurhash is made of.',
  }),
  thumbHeight: option(whole({ min: 1, max: 256 }), 64, { ...anywhere, description: 'Its height in pixels, at most.' }),
  maxWidth: option(whole(), 1024, { ...ignored, description: 'For drawing pictures of blurhashes.' }),
  maxHeight: option(whole(), 1024, { ...ignored, description: 'For drawing pictures of blurhashes.' }),
  punch: option(decimal(), 1, { ...ignored, description: 'For drawing pictures of blurhashes.' }),
})

export const featureSupport = section('Experiments of MMR.', { MSC2448Blurhash: blurhash })
