import { pictures } from '../picture.ts'

export const png = pictures({ 'image/png': ['image/png'] }, { loader: 'VipsForeignLoadPngFile', opaque: 'png' })
