import { pictures } from '../picture.ts'

export const webp = pictures({ 'image/webp': ['image/webp'] }, { loader: 'VipsForeignLoadWebpFile', opaque: 'jpeg' })
