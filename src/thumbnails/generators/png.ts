import { pictures } from '../picture.ts'

/** Of an animated PNG, the picture that programs show which know nothing of animation. */
export const png = pictures(
  {
    'image/png': ['image/png'],
    // Senders call these image/png; the bytes tell that they are animated.
    'image/apng': ['image/apng', 'image/png'],
  },
  { loader: 'VipsForeignLoadPngFile', opaque: 'png' },
)
