import { animations } from '../animation.ts'

export const gif = animations({ 'image/gif': ['image/gif'] }, { loader: 'VipsForeignLoadNsgifFile', opaque: 'png' })
