import { pictures } from '../picture.ts'

/** The same container as HEIC; which codec is inside, libheif finds out, and the prebuilt one knows AV1 only. */
export const avif = pictures({ 'image/avif': ['image/avif'] }, { loader: 'VipsForeignLoadHeifFile', opaque: 'jpeg' })
