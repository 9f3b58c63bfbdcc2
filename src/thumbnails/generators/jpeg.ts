import { pictures } from '../picture.ts'

export const jpeg = pictures(
  { 'image/jpeg': ['image/jpeg', 'image/jpg'] },
  { loader: 'VipsForeignLoadJpegFile', opaque: 'jpeg' },
)
