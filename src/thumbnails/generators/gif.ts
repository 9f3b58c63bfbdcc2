import { pictures } from '../picture.ts'

export const gif = pictures({ 'image/gif': ['image/gif'] }, { loader: 'VipsForeignLoadNsgifFile', opaque: 'png' })
